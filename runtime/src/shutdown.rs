//! SIGTERM and SIGINT become one flag.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A flag that turns true on SIGTERM or SIGINT. A second signal ends the process at once with
/// exit code 130.
pub fn on_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (stop, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for asked in 0_u32.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked > 0 {
                tracing::warn!("asked again; ending at once");
                std::process::exit(130);
            }
            tracing::info!("asked to end; draining");
            stop.send_replace(true);
        }
    });
    Ok(stopping)
}
