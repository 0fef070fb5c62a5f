#!/bin/sh
# Makes the PKCS#12 files of these tests anew. The key is thrown away; the password is in the tests.
set -eu
cd "$(dirname "$0")/pfx"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 36500 -subj "/CN=sendas test" \
  -keyout "$work/key" -out "$work/certificate" 2>/dev/null
for form in modern legacy empty; do
  case $form in
    modern) set -- -passout pass:s3cret ;;
    legacy) set -- -passout pass:s3cret -legacy ;;
    empty) set -- -passout pass: ;;
  esac
  openssl pkcs12 -export -inkey "$work/key" -in "$work/certificate" -name sendas "$@" |
    openssl base64 > "$form.pfx.base64"
done
openssl pkcs12 -export -nokeys -in "$work/certificate" -passout pass:s3cret |
  openssl base64 > keyless.pfx.base64
openssl x509 -in "$work/certificate" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' > thumbprint.txt
