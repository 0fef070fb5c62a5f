//! What a client configuration costs before the first octet is sent.

use divan::Bencher;
use sendas_tls::{Authority, TlsPolicy, Trust};

fn main() {
    divan::main();
}

/// Every root of this system is read and parsed.
#[divan::bench]
fn system_roots(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        TlsPolicy::new(Trust::System)
            .client_config()
            .expect("this system has roots")
    });
}

/// One named authority, as a cloud file names it.
#[divan::bench]
fn one_named_authority(bencher: Bencher<'_, '_>) {
    let key = rcgen::KeyPair::generate().expect("keys can be made");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params
        .self_signed(&key)
        .expect("certificates can be made")
        .pem();
    bencher.bench(|| {
        let authority = Authority::from_pem(pem.as_bytes()).expect("it was just made");
        TlsPolicy::new(Trust::Only(vec![authority]))
            .client_config()
            .expect("it is a CA")
    });
}
