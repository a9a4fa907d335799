package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/config"
)

const (
	root   = "../.."
	module = "github.com/liftoffmq/liftoff/"
)

// source is a file of the module that is no test.
type source struct {
	*ast.File
	pkg  string // the package's folder, from the root
	fset *token.FileSet
}

func (s source) position(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	name, _ := filepath.Rel(root, p.Filename)
	return name + ":" + strconv.Itoa(p.Line)
}

// sources reads the module. Folders with a go.mod of their own are not part of it.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (nested == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		all = append(all, source{file, filepath.ToSlash(folder), fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rows reads the table of ARCHITECTURE.md, lines such as "3   broker   namesrv", and the exceptions in the sentence below it.
func rows(t *testing.T) (row map[string]int, may map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "Imports go only from a row to rows below it")
	parts := strings.SplitN(table, "```", 3)
	if !found || len(parts) != 3 {
		t.Fatal("ARCHITECTURE.md has no table of rows")
	}
	row, may = make(map[string]int), make(map[string]bool)
	for line := range strings.Lines(parts[1]) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.Atoi(f[0])
		if err != nil {
			t.Fatalf("a row of ARCHITECTURE.md begins with %q", f[0])
		}
		for _, name := range f[1:] {
			if !strings.HasPrefix(name, "cmd/") {
				name = "internal/" + name
			}
			row[name] = n
		}
	}
	paragraph, _, _ := strings.Cut(parts[2], "\n\n")
	for _, m := range regexp.MustCompile("`([a-z/]+)` may use `([a-z/]+)`").FindAllStringSubmatch(paragraph, -1) {
		may["internal/"+m[1]+" internal/"+m[2]] = true
	}
	return row, may
}

func TestImports_GoDown(t *testing.T) {
	t.Parallel()
	row, may := rows(t)
	for _, s := range sources(t) {
		from, listed := row[s.pkg]
		if !listed {
			if strings.HasPrefix(s.pkg, "internal/") && s.pkg != "internal/lint" {
				t.Errorf("%s is in no row of ARCHITECTURE.md", s.pkg)
			}
			continue // programs beside the server: bench, interop
		}
		for _, i := range s.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			name, ours := strings.CutPrefix(path, module)
			if to, listed := row[name]; ours && (!listed || to >= from) && !may[s.pkg+" "+name] {
				t.Errorf("%s: %s is in row %d and imports %s, which is not in a row below it", s.position(i), s.pkg, from, name)
			}
		}
	}
}

func TestExportedNames_HaveComments(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool)
	files := make(map[string]int)
	for _, s := range sources(t) {
		documented[s.pkg] = documented[s.pkg] || s.Doc.Text() != ""
		files[s.pkg]++
		for _, d := range s.Decls {
			for _, name := range withoutComment(d) {
				t.Errorf("%s: %s has no comment", s.position(name), name.Name)
			}
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", pkg)
		}
		if _, err := os.Stat(filepath.Join(root, pkg, "doc.go")); err != nil && files[pkg] > 3 && !strings.HasPrefix(pkg, "cmd/") {
			t.Errorf("package %s has %d files and no doc.go", pkg, files[pkg])
		}
	}
}

// withoutComment gives the exported names of a declaration that lack one. A comment over a group counts for all of it.
func withoutComment(d ast.Decl) []*ast.Ident {
	var names []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		known := d.Name.Name == "Error" || d.Name.Name == "String" || d.Name.Name == "Unwrap"
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiver(d).IsExported() && !known) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && spec.Doc == nil && d.Doc == nil {
					names = append(names, spec.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

func receiver(d *ast.FuncDecl) *ast.Ident {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x
		default:
			return ast.NewIdent("_")
		}
	}
}

// A field of a configuration is a promise that its key is acted on; a key that is not belongs into config's keys.go.
func TestSettings_AreActedOn(t *testing.T) {
	t.Parallel()
	used := map[string]bool{"RocketMQHome": true} // only shown, as RocketMQ's tools expect it
	for _, s := range sources(t) {
		inConfig := s.pkg == "internal/config"
		ast.Inspect(s.File, func(n ast.Node) bool {
			f, isFunc := n.(*ast.FuncDecl)
			if inConfig && isFunc && (f.Name.Name == "validate" || f.Name.Name == "Validate" || f.Name.Name == "settle") {
				return false // a rule for a value is no use of it
			}
			if sel, ok := n.(*ast.SelectorExpr); ok {
				used[sel.Sel.Name] = true
			}
			return true
		})
	}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			_, key := f.Tag.Lookup("prop")
			if f.Type.Kind() == reflect.Struct && !key {
				look(f.Type)
			} else if key && !used[f.Name] {
				t.Errorf("nothing acts on %s (%s): move its key to internal/config/keys.go, with the reason", f.Name, f.Tag.Get("prop"))
			}
		}
	}
	look(reflect.TypeFor[config.Broker]())
	look(reflect.TypeFor[config.Namesrv]())
}
