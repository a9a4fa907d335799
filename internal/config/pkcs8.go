package config

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// An encrypted private key in PKCS #8 is what `openssl pkcs8 -topk8` writes and Java reads: RFC 5958 around RFC 8018, of which
// this knows the one scheme in use, PBES2 with PBKDF2.
//
//	EncryptedPrivateKeyInfo { algorithm PBES2 { keyDerivation PBKDF2 { salt, iterations, hash }, cipher { iv } }, data }
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	Derivation pkix.AlgorithmIdentifier
	Cipher     pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	Hash       pkix.AlgorithmIdentifier `asn1:"optional"`
}

const maxIterations = 2_000_000 // a damaged file shall not keep the start busy for long

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	keyHashes = map[string]func() hash.Hash{
		"":                   sha1.New, // the scheme's default
		"1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New,
		"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
	keyCiphers = map[string]struct {
		keyLength int
		block     func([]byte) (cipher.Block, error)
	}{
		"2.16.840.1.101.3.4.1.2": {16, aes.NewCipher}, "2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher}, "1.2.840.113549.3.7": {24, des.NewTripleDESCipher},
	}
)

func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var key encryptedKey
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return nil, err
	}
	if !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("it is encrypted with scheme %v; write it anew with: openssl pkcs8 -topk8 -v2 aes-256-cbc", key.Algorithm.Algorithm)
	}
	var scheme pbes2Params
	var derive pbkdf2Params
	var iv []byte
	if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	if !scheme.Derivation.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("its password goes through %v, which is not known here", scheme.Derivation.Algorithm)
	}
	if _, err := asn1.Unmarshal(scheme.Derivation.Parameters.FullBytes, &derive); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	newHash, hashKnown := keyHashes[derive.Hash.Algorithm.String()]
	by, cipherKnown := keyCiphers[scheme.Cipher.Algorithm.String()]
	if !hashKnown || !cipherKnown {
		return nil, fmt.Errorf("it is encrypted with %v and %v, which are not known here", derive.Hash.Algorithm, scheme.Cipher.Algorithm)
	}
	if derive.Iterations < 1 || derive.Iterations > maxIterations {
		return nil, fmt.Errorf("its password is to be hashed %d times", derive.Iterations)
	}
	secret, err := pbkdf2.Key(newHash, password, derive.Salt, derive.Iterations, by.keyLength)
	if err != nil {
		return nil, err
	}
	block, err := by.block(secret)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(key.Data) == 0 || len(key.Data)%size != 0 {
		return nil, errors.New("it is damaged")
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, errors.New("the password does not fit")
	}
	return plain[:len(plain)-pad], nil
}
