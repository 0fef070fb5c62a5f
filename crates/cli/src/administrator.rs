//! An administrator at hand: tokens that were given, a sign-in, a yes.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sendas_entra::{ClientId, Cloud, HttpClient, Tenant};
use sendas_tenant::stop::Stop;
use sendas_tenant::trouble::Service;
use sendas_tenant::{AdminToken, AdminTokens, Method, SignIn, SignInError, SystemTimer};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::machine::stdin_is_terminal;
use crate::output;
use crate::report::{Failure, Kind, Lasting, chain};

/// Octets of a file of tokens at most; two tokens have some thousand each.
const TOKENS_OCTETS_MAX: u64 = 256 * 1024;

/// Where an administrator signs in.
pub(crate) struct SignInDesk<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) tenant: &'a Tenant,
    pub(crate) http: &'a HttpClient,
    /// Decides which rights are asked for.
    pub(crate) method: Method,
    /// A public client of the operator's own.
    pub(crate) client_id: Option<&'a str>,
    /// By a code typed elsewhere, instead of in the browser.
    pub(crate) is_device: bool,
}

impl SignInDesk<'_> {
    /// Signs in for one service.
    ///
    /// # Errors
    /// When nobody signed in.
    pub(crate) async fn sign_in(&self, service: Service) -> Result<AdminToken, Box<Failure>> {
        let client_id = self
            .client_id
            .map(ClientId::parse)
            .transpose()
            .map_err(|error| {
                Box::new(
                    Failure::usage("nothing was done: --sign-in-client-id cannot be used")
                        .cause(chain(&error), None),
                )
            })?;
        let sign_in = SignIn::new(
            self.cloud,
            self.tenant,
            self.method,
            client_id,
            Arc::new(self.http.clone()),
            Arc::new(SystemTimer),
        );
        output::line(&format!(
            "Sign in to {} as an administrator, for {service} ({}).",
            self.tenant,
            self.cloud.authority()
        ));
        let token = if self.is_device {
            let code = sign_in.device_code(service).await;
            let code = code.map_err(|error| not_signed_in(&error))?;
            output::line(&format!(
                "Open {} and type {}. Type it only if you started this yourself.",
                output::visible(&code.verification_uri),
                output::visible(&code.user_code)
            ));
            sign_in.finish_device(service, &code).await
        } else {
            let browser = sign_in.browser(service).await;
            let browser = browser.map_err(|error| not_signed_in(&error))?;
            output::line(&format!("If no browser opens, go to:\n{}", browser.url));
            // A machine without a browser still shows the address.
            drop(open::that_detached(&browser.url));
            sign_in.finish(browser).await
        };
        token.map_err(|error| not_signed_in(&error))
    }
}

/// An administrator who is not signed in.
fn not_signed_in(error: &SignInError) -> Box<Failure> {
    Box::new(
        Failure::new(
            Kind::Identity,
            Exit::Authentication,
            "nobody is signed in; nothing was changed",
        )
        .stop(chain(error), &error.stop()),
    )
}

/// Reads both tokens of an administrator; `-` is standard input.
///
/// # Errors
/// When they cannot be read, or are none.
pub(crate) fn read_tokens(path: &Path) -> Result<AdminTokens, Box<Failure>> {
    AdminTokens::from_json(&read(path)?).map_err(|error| no_tokens(&error))
}

/// Reads the token for Microsoft Graph out of a file of tokens; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is none.
pub(crate) fn read_graph_token(path: &Path) -> Result<AdminToken, Box<Failure>> {
    AdminTokens::graph_from_json(&read(path)?).map_err(|error| no_tokens(&error))
}

/// Reads a token for Microsoft Graph from standard input, as it is.
///
/// # Errors
/// When it cannot be read, or is none.
pub(crate) fn graph_token_from_stdin() -> Result<AdminToken, Box<Failure>> {
    let octets = read(Path::new("-"))?;
    let text = std::str::from_utf8(&octets).unwrap_or_default();
    let text = Zeroizing::new(text.trim().to_owned());
    AdminToken::new(text, "Microsoft Graph").map_err(|error| no_tokens(&error))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Box<Failure>> {
    let mut octets = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        let stdin = std::io::stdin().lock();
        stdin.take(TOKENS_OCTETS_MAX).read_to_end(&mut octets)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(TOKENS_OCTETS_MAX).read_to_end(&mut octets))
    };
    read.map_err(|error| {
        let place = match path.to_str() {
            Some("-") => "on standard input".to_owned(),
            _ => format!("in {}", path.display()),
        };
        Box::new(
            Failure::machine(
                format!("the administrator's tokens {place} were not read"),
                &error,
            )
            .id("T-TOKENS-FILE")
            .lasting(Lasting::UntilChanged),
        )
    })?;
    Ok(octets)
}

fn no_tokens(error: &sendas_tenant::AdminTokenError) -> Box<Failure> {
    Box::new(
        Failure::new(Kind::Identity, Exit::Usage, "nobody is signed in")
            .stop(chain(error), &Stop::named("T-TOKENS-FILE")),
    )
}

/// Asks, unless it was said before; without a person there it must have been said.
///
/// # Errors
/// When the answer is not yes.
pub(crate) fn agree(yes: bool, question: &str) -> Result<(), Box<Failure>> {
    if yes {
        return Ok(());
    }
    let no = |why: &str| {
        Box::new(
            Failure::usage("nothing was changed in the tenant")
                .id("T-NOT-AGREED")
                .cause(why, Some("add --yes".to_owned())),
        )
    };
    if !stdin_is_terminal() {
        return Err(no("nobody is here to say yes"));
    }
    output::say(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Box::new(Failure::machine("nothing was changed", &error)))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(no("the answer was not yes")),
    }
}
