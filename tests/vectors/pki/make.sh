#!/bin/bash
# make.sh DIR - makes every file of this directory anew, with OpenSSL 3. The keys are for tests and nothing else.
set -euo pipefail
mkdir -p "$1"; cd "$1"; mkdir -p keys
DAYS=36500

# Private keys. ring makes no RSA keys, so tests take theirs from here.
rsa() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:"$1" 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -outform der -out "keys/$2.p8.der"; }
for i in 1 2 3 4; do rsa 2048 rsa2048-$i; done
for bits in 1024 3072 4096; do rsa $bits rsa$bits; done
rsa 2304 rsa2304
openssl rsa -in keys/rsa2048-1.p8.der -inform der -traditional -outform der -out keys/rsa2048-1.pkcs1.der 2>/dev/null
for curve in 256 384 521; do
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve -out t.pem
  openssl pkcs8 -topk8 -nocrypt -in t.pem -outform der -out keys/ec$curve.p8.der
  [ $curve = 521 ] || openssl ec -in t.pem -outform der -out keys/ec$curve.sec1.der 2>/dev/null
done
openssl pkcs8 -topk8 -nocrypt -in <(openssl ec -inform der -in keys/ec256.p8.der -no_public 2>/dev/null) -outform der -out keys/ec256-nopub.p8.der
openssl genpkey -algorithm ED25519 -outform der -out keys/ed25519.p8.der
openssl genpkey -algorithm ED448 -outform der -out keys/ed448.p8.der
openssl pkcs8 -topk8 -inform der -in keys/ec256.p8.der -outform der -out keys/encrypted.p8.der -passout pass:secret
openssl pkcs8 -topk8 -inform der -in keys/rsa2048-2.p8.der -out keys/encrypted.pem -passout pass:secret
openssl rsa -inform der -in keys/rsa2048-2.p8.der -traditional -aes128 -passout pass:secret -out keys/encrypted-old.pem 2>/dev/null
openssl pkey -inform der -in keys/rsa2048-1.p8.der -pubout -outform der -out rsa2048-1.spki.der

# What OpenSSL signs over SHA-1, to compare byte for byte.
printf 'RealMessage | NonceRData | MACedIDForI' | openssl dgst -sha1 -sign keys/rsa2048-1.p8.der -keyform DER -out rsa2048-1.sha1.sig

# Certificates as Azure's pages make them: OpenSSL's root, and one shaped like PowerShell's (keyCertSign alone).
root() { openssl req -x509 -key keys/$1.p8.der -keyform DER -out $2.pem -days $DAYS -sha256 -subj "/CN=$3" \
  -addext basicConstraints=critical,CA:TRUE,pathlen:4 -addext "keyUsage=critical,$4"; }
root rsa2048-1 root VPNRootCA01 keyCertSign,cRLSign
root rsa2048-1 root-powershell VPNRootCA01 keyCertSign
openssl req -x509 -key keys/rsa2048-1.p8.der -keyform DER -out root-p2s.pem -days $DAYS -sha256 -subj /CN=P2SRootCert \
  -config <(printf '[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n')
leaf() { openssl req -new -key keys/$1.p8.der -keyform DER -subj "/CN=$2" -out t.csr
  printf 'extendedKeyUsage=clientAuth,serverAuth\n' > t.ext
  openssl x509 -req -in t.csr -CA root.pem -CAkey keys/rsa2048-1.p8.der -CAkeyform DER -set_serial $3 -days $DAYS -sha256 -extfile t.ext -out $2.pem 2>/dev/null; }
leaf rsa2048-2 Inbound-certificate 0x1001
leaf rsa2048-3 Outbound-certificate 0x1002
openssl x509 -in Outbound-certificate.pem -outform der -out Outbound-certificate.cer
openssl x509 -in Outbound-certificate.pem -addtrust serverAuth -trustout -out trusted.pem
openssl req -new -key keys/rsa2048-2.p8.der -keyform DER -subj /CN=request -out request.pem
openssl crl2pkcs7 -nocrl -certfile root.pem -outform der -out root.p7b

# Odd ones: version 1, PSS, curves that are not spoken.
openssl req -new -key keys/rsa2048-4.p8.der -keyform DER -subj /CN=v1-root -out t.csr
openssl x509 -req -in t.csr -signkey keys/rsa2048-4.p8.der -keyform DER -days $DAYS -sha256 -out v1-root.pem 2>/dev/null
openssl req -new -key keys/rsa2048-3.p8.der -keyform DER -subj /CN=v1-leaf -out t.csr
openssl x509 -req -in t.csr -CA root.pem -CAkey keys/rsa2048-1.p8.der -CAkeyform DER -set_serial 0x1003 -days $DAYS -sha256 -out v1-leaf.pem 2>/dev/null
openssl req -new -key keys/rsa2048-3.p8.der -keyform DER -subj /CN=under-v1 -out t.csr
openssl x509 -req -in t.csr -CA v1-root.pem -CAkey keys/rsa2048-4.p8.der -CAkeyform DER -set_serial 0x1004 -days $DAYS -sha256 -extfile t.ext -out under-v1.pem 2>/dev/null
leaf ec521 p521-leaf 0x1005
leaf ed448 ed448-leaf 0x1006
leaf rsa1024 rsa1024-leaf 0x1007
openssl req -new -key keys/rsa2048-3.p8.der -keyform DER -subj /CN=pss-leaf -out t.csr
openssl x509 -req -in t.csr -CA root.pem -CAkey keys/rsa2048-1.p8.der -CAkeyform DER -set_serial 0x1008 -days $DAYS -sha256 -extfile t.ext \
  -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -out pss-leaf.pem 2>/dev/null
openssl req -x509 -key keys/rsa1024.p8.der -keyform DER -out rsa1024-root.pem -days $DAYS -sha256 -subj /CN=rsa1024-root 2>/dev/null

# A small family for the fuzz corpora: root, authority and leaf on P-256.
openssl req -x509 -key keys/ec256.p8.der -keyform DER -outform der -out small-root.der -days $DAYS -sha256 -subj /CN=r -addext basicConstraints=critical,CA:TRUE
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out t.ca.key
small() { openssl req -new -key "$1" -subj "/CN=$2" -out t.csr; printf "$3" > t.ext2
  openssl x509 -req -in t.csr -CA "$4" -CAkey "$5" -set_serial $6 -days $DAYS -sha256 -extfile t.ext2 -outform der -out small-$2.der 2>/dev/null; }
openssl x509 -inform der -in small-root.der -out t.root.pem
openssl pkey -inform der -in keys/ec256.p8.der -out t.root.key
small t.ca.key ca 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n' t.root.pem t.root.key 2
openssl x509 -inform der -in small-ca.der -out t.ca.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out t.gw.key
small t.gw.key gw 'extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:gw.example,IP:192.0.2.1,email:a@gw.example\n' t.ca.pem t.ca.key 3
openssl pkcs8 -topk8 -nocrypt -in t.gw.key -outform der -out small-gw.p8.der
openssl pkcs12 -export -inkey t.gw.key -in <(openssl x509 -inform der -in small-gw.der) -passout pass: -iter 1 -nomaciter -out small.pfx
openssl pkcs12 -export -inkey t.gw.key -in <(openssl x509 -inform der -in small-gw.der) -passout pass: -iter 1 -nomaciter -legacy -out small-legacy.pfx

# A CRL that revokes Outbound-certificate for its key.
printf '[ca]\ndefault_ca=c\n[c]\ndatabase=t.db\ncrlnumber=t.n\ndefault_md=sha256\ndefault_crl_days=%s\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n' $DAYS > t.cnf
: > t.db; echo 01 > t.n
openssl ca -config t.cnf -cert root.pem -keyfile keys/rsa2048-1.p8.der -keyform DER -revoke Outbound-certificate.pem -crl_reason keyCompromise 2>/dev/null
openssl ca -config t.cnf -cert root.pem -keyfile keys/rsa2048-1.p8.der -keyform DER -gencrl -out root.crl.pem 2>/dev/null
openssl ca -config t.cnf -cert t.ca.pem -keyfile t.ca.key -gencrl 2>/dev/null | openssl crl -outform der -out small.crl.der

# PKCS#12 in the forms that its makers choose.
openssl pkey -inform der -in keys/rsa2048-2.p8.der -out t.key
pfx() { local out=$1; shift; openssl pkcs12 -export -inkey t.key -in Inbound-certificate.pem -certfile root.pem -name inbound -out $out.pfx "$@"; }
pfx openssl3 -passout pass:secret
pfx openssl1 -passout pass:secret -legacy
pfx windows-3des -passout pass:secret -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -iter 2000
pfx windows-aes -passout pass:secret -keypbe AES-256-CBC -certpbe AES-256-CBC -macalg sha256 -iter 2000
pfx aes128-sha512 -passout pass:secret -keypbe AES-128-CBC -certpbe AES-192-CBC -macalg sha512
pfx rc2-128 -passout pass:secret -legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-128
pfx pbes2-3des -passout pass:secret -keypbe des-ede3-cbc -certpbe NONE
pfx nomac -passout pass:secret -nomac
pfx empty -passout pass:
pfx empty-legacy -passout pass: -legacy
pfx umlaut -passout pass:sécrêt€ -legacy
pfx rc4 -passout pass:secret -legacy -keypbe PBE-SHA1-RC4-128 -certpbe PBE-SHA1-RC4-128
pfx iterations -passout pass:secret -legacy -iter 2100000
# The other form of "no password": not even the final zero. Only the library makes it, through NULL.
python3 - <<'PYTHON'
from ctypes import *
import ctypes.util
crypto = CDLL(ctypes.util.find_library("crypto"))
for name in ("d2i_AutoPrivateKey", "d2i_X509", "PKCS12_create"): getattr(crypto, name).restype = c_void_p
def der(path, read):
    data = open(path, "rb").read(); pointer = c_char_p(data)
    return c_void_p(read(None, byref(pointer), c_long(len(data))))
key = der("keys/rsa2048-3.p8.der", crypto.d2i_AutoPrivateKey)
leaf = der("Outbound-certificate.cer", crypto.d2i_X509)
NID_3DES = 146
pfx = c_void_p(crypto.PKCS12_create(None, None, key, leaf, None, NID_3DES, NID_3DES, 2000, 1, 0))
out = POINTER(c_ubyte)(); length = crypto.i2d_PKCS12(pfx, byref(out))
open("empty-null.pfx", "wb").write(bytes(out[:length]))
PYTHON
rm -f t.*
