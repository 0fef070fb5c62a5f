//! What happens inside, told on standard error on request.

use tracing_subscriber::EnvFilter;

use crate::machine::Machine;

/// Starts telling when asked to by `-v` or `SENDAS_LOG`; costs nothing otherwise.
pub(crate) fn start(verbose: u8, machine: &Machine) {
    let wanted = machine.environment.get("SENDAS_LOG");
    let level = match (wanted, verbose) {
        (Some(filter), _) => filter,
        (None, 0) => return,
        (None, 1) => {
            "sendas=info,sendas_relay=info,sendas_spool=info,sendas_entra=info,sendas_submit=info,sendas_sandbox=info"
        }
        (None, _) => "debug,hyper=info,rustls=info",
    };
    let filter = EnvFilter::builder().parse_lossy(level);
    let colour = crate::output::talk_has_colour();
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(colour)
            .try_init(),
    );
}
