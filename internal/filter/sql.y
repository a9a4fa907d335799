// The grammar of RocketMQ's SQL92 filter. goyacc makes sql.go of it: go generate ./internal/filter

%{
package filter
%}

%union {
	node  *node
	text  string
	texts []string
}

%token <node> tokOperand // a literal that is no string, or a property
%token <text> tokString
%token tokNot tokAnd tokOr tokBetween tokIn tokNull tokIs tokContains tokStartsWith tokEndsWith
%token tokNotEqual tokGreaterEqual tokLessEqual

%type <node> or and equality comparison unary
%type <texts> strings
%type <text> search

%%

selector:
	or { sqllex.(*lexer).result = boolean(sqllex, $1) }

or:
	and
|	or tokOr and { $$ = newLogic(sqllex, opOr, $1, $3) }

and:
	equality
|	and tokAnd equality { $$ = newLogic(sqllex, opAnd, $1, $3) }

equality:
	comparison
|	equality '=' comparison { $$ = newEqual(sqllex, $1, $3) }
|	equality tokNotEqual comparison { $$ = newNot(sqllex, newEqual(sqllex, $1, $3)) }
|	equality tokIs tokNull { $$ = newIsNull(sqllex, $1) }
|	equality tokIs tokNot tokNull { $$ = newNot(sqllex, newIsNull(sqllex, $1)) }

comparison:
	unary
|	comparison '>' unary { $$ = newOrder(sqllex, opGreater, $1, $3) }
|	comparison tokGreaterEqual unary { $$ = newOrder(sqllex, opGreaterEqual, $1, $3) }
|	comparison '<' unary { $$ = newOrder(sqllex, opLess, $1, $3) }
|	comparison tokLessEqual unary { $$ = newOrder(sqllex, opLessEqual, $1, $3) }
|	comparison tokContains search { $$ = newSearch(sqllex, opContains, $1, $3, false) }
|	comparison tokNot tokContains search { $$ = newSearch(sqllex, opContains, $1, $4, true) }
|	comparison tokStartsWith search { $$ = newSearch(sqllex, opStartsWith, $1, $3, false) }
|	comparison tokNot tokStartsWith search { $$ = newSearch(sqllex, opStartsWith, $1, $4, true) }
|	comparison tokEndsWith search { $$ = newSearch(sqllex, opEndsWith, $1, $3, false) }
|	comparison tokNot tokEndsWith search { $$ = newSearch(sqllex, opEndsWith, $1, $4, true) }
|	comparison tokBetween unary tokAnd unary { $$ = newBetween(sqllex, $1, $3, $5) }
|	comparison tokNot tokBetween unary tokAnd unary { $$ = newNotBetween(sqllex, $1, $4, $6) }
|	comparison tokIn '(' strings ')' { $$ = newIn(sqllex, $1, $4, false) }
|	comparison tokNot tokIn '(' strings ')' { $$ = newIn(sqllex, $1, $5, true) }

search:
	tokString

strings:
	tokString { $$ = []string{$1} }
|	strings ',' tokString { $$ = append($1, $3) }

unary:
	tokOperand
|	tokString { $$ = newConstant(value{kind: kindString, s: []byte($1)}) }
|	tokNull { $$ = newConstant(value{}); $$.boolean = true }
|	'(' or ')' { $$ = $2 }
|	'+' unary { $$ = $2 }
|	'-' unary { $$ = newNegative(sqllex, $2) }
|	tokNot unary { $$ = newNot(sqllex, $2) }
