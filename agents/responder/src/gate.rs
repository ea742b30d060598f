//! The decision list by HTTP: a gateway asks whether a request may pass.
//!
//! Any path and method. The gateway names the client's address in the header
//! `responder.decisions.client_header`, and may name `x-magsentinel-user`, `-session`, `-key` and
//! `-device`. It must set each of them itself: what a client sent of them must not come through.
//! 200: nothing is decided against it. 403: it is refused, and `x-magsentinel-decision` says what
//! for. 400: the gateway named nobody, or no address. An address that is to be slowed passes with
//! 200 and that header, for the gateway to act on.

use crate::effector::decisions::{Config, View};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use magsentinel_bus_schema::Timestamp;
use magsentinel_runtime::{clock, context::Context, service::Task};
use std::{net::IpAddr, sync::Arc};

/// Header that says what is decided.
const DECISION: &str = "x-magsentinel-decision";

/// Names that a gateway may give beside the client's address.
const NAMED: &[(&str, &str)] = &[
    ("user", "x-magsentinel-user"),
    ("session", "x-magsentinel-session"),
    ("key", "x-magsentinel-key"),
    ("device", "x-magsentinel-device"),
];

/// Header that names the system of user and session, where the gateway knows it.
const SYSTEM: &str = "x-magsentinel-system";

/// What a gateway is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Pass,
    Slow(String),
    Refuse(String),
    Unclear(String),
}

struct Gate {
    client_header: String,
    view: View,
}

impl Gate {
    fn answer(&self, headers: &HeaderMap, now: Timestamp) -> Answer {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut named = false;
        let mut slow = None;
        if let Some(client) = text(&self.client_header) {
            let Ok(address) = client.trim().parse::<IpAddr>() else {
                return Answer::Unclear(format!("{}: no address", self.client_header));
            };
            named = true;
            match self.view.about_client(address, now) {
                Some(state @ ("limited" | "tarpit")) => slow = Some(format!("client {state}")),
                Some(state) => return Answer::Refuse(format!("client {state}")),
                None => {}
            }
        }
        for (what, header) in NAMED {
            let Some(name) = text(header).filter(|name| !name.is_empty()) else { continue };
            named = true;
            if let Some(state) = self.view.about(what, name, text(SYSTEM), now) {
                return Answer::Refuse(format!("{what} {state}"));
            }
        }
        match slow {
            Some(slow) => Answer::Slow(slow),
            None if named => Answer::Pass,
            None => Answer::Unclear(format!("{}: missing", self.client_header)),
        }
    }
}

async fn decide(State(gate): State<Arc<Gate>>, headers: HeaderMap) -> Response {
    match gate.answer(&headers, clock::now()) {
        Answer::Pass => StatusCode::OK.into_response(),
        Answer::Slow(what) => (StatusCode::OK, [(DECISION, what)]).into_response(),
        Answer::Refuse(what) => (StatusCode::FORBIDDEN, [(DECISION, what)]).into_response(),
        Answer::Unclear(why) => (StatusCode::BAD_REQUEST, why + "\n").into_response(),
    }
}

/// The task that answers gateways, once the list is known.
#[must_use]
pub(crate) fn task(config: &Config, view: crate::stage::ShownView) -> Option<Task> {
    let (listen, client_header) = (config.listen?, config.client_header.clone());
    let run = move |context: Context| {
        let (view, client_header) = (view.clone(), client_header.clone());
        let work = async move {
            let view = view.get().ok_or("the decision list is not known yet")?.clone();
            let listener = tokio::net::TcpListener::bind(listen).await;
            let listener = listener.map_err(|e| {
                format!("cannot answer gateways on {listen}: {e}; choose another decisions.listen")
            })?;
            let address = listener.local_addr().map_err(|e| e.to_string())?;
            tracing::info!(%address, "answering gateways");
            context.report("gate", serde_json::json!({ "address": address.to_string() }));
            let gate = Arc::new(Gate { client_header, view });
            let routes = Router::new().fallback(decide).with_state(gate);
            let served = axum::serve(listener, routes)
                .with_graceful_shutdown(async move { context.stopping().await });
            served.await.map_err(|e| e.to_string())
        };
        Box::pin(work) as BoxFuture<'static, Result<(), String>>
    };
    Some(Task { name: "gate".to_owned(), run: Arc::new(run) })
}
