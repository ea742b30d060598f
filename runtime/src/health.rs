//! `/livez`, `/readyz` and `/metrics`.

use crate::{context::Context, settings::Section};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Where health and metrics are served.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

impl Section for HealthConfig {
    const NAME: &'static str = "health";
}

/// Health and metrics, served until dropped: also while the process drains, so that whoever asks
/// is told so, and the last counts can be fetched.
pub(crate) struct Serving {
    /// The address that was taken.
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to serve.
pub(crate) async fn serve(config: &HealthConfig, context: &Context) -> std::io::Result<Serving> {
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context.clone());
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "health server ended");
        }
    });
    Ok(Serving { address, task })
}

async fn ready(State(context): State<Context>) -> impl IntoResponse {
    if context.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    if !context.bus.is_connected() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not connected to nats\n");
    }
    (StatusCode::OK, "ready\n")
}

async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    let kind = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match context.metrics.render() {
        Ok(text) => (StatusCode::OK, kind, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, kind, error.to_string()),
    }
}
