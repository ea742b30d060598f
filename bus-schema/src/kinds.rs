//! The kinds of event, and a typed view of each kind's body.
//!
//! A body travels as the publisher sent it ([`crate::Fields`]): unknown fields are carried
//! along. These types are views of it: what a patrol reads, and what the reference documents.
//! No view contains `label`, `label_quality`, `category`, `source`, `phase` or `event_label`,
//! the annotations of recorded data, so no patrol can read them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $token:literal),* $(,)?) => {
        /// What sort of thing happened.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "lowercase")]
        pub enum Kind { $($(#[$doc])* $variant),* }

        impl Kind {
            /// Every kind, in the order of the reference.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The kind's token in subjects, CLI and configuration.
            #[must_use]
            pub fn token(self) -> &'static str {
                match self { $(Kind::$variant => $token),* }
            }
        }
    };
}

kinds! {
    /// A SQL statement, or a parameter value on its way into one.
    Sql = "sql",
    /// An HTTP or API request.
    Api = "api",
    /// A login, logout or other authentication step.
    Auth = "auth",
    /// A read, copy or export of data.
    Data = "data",
    /// Something that a plug-in or extension did.
    Extension = "extension",
    /// A message or reading of a device.
    Iot = "iot",
    /// A network connection.
    Flow = "flow",
    /// A DNS query.
    Dns = "dns",
    /// A process, its sockets and its devices.
    Host = "host",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|k| k.token() == s).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|k| k.token()).collect();
            format!("unknown event kind {s:?} (one of {})", known.join(", "))
        })
    }
}

/// A typed view of a body.
pub trait Body: for<'de> Deserialize<'de> {
    /// The kind whose bodies this type reads.
    const KIND: Kind;
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident ($kind:ident) {
        $($(#[$field_doc:meta])* $field:ident : $ty:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }
        impl Body for $name { const KIND: Kind = Kind::$kind; }
    )*};
}

bodies! {
    /// Body of `sql`.
    Sql (Sql) {
        /// The statement or value, as the database or application saw it. Required in effect:
        /// a patrol refuses a body without it.
        text: String,
        /// Form of the text: `query`, `param`, `free_text` or `fragment`.
        kind: Option<String>,
        /// Database role or application user.
        user: Option<String>,
        /// Database session.
        session: Option<String>,
        /// Address of the database's client.
        src_ip: Option<String>,
        /// Address of the end client, where the application knows it.
        client: Option<String>,
        /// Database name.
        database: Option<String>,
        /// Name that the client program gave itself.
        application: Option<String>,
        /// SQLSTATE error code, where the statement failed.
        error: Option<String>,
    }

    /// Body of `api`.
    Api (Api) {
        /// Address of the client.
        client: Option<String>,
        /// Session or token digest.
        session: Option<String>,
        /// Authenticated user.
        user: Option<String>,
        /// API key's public id.
        key: Option<String>,
        /// Request method.
        method: String,
        /// Path, undecoded, without query.
        path: String,
        /// Query string, undecoded, without `?`.
        query: Option<String>,
        /// Headers, names in lower case.
        headers: Map<String, Value>,
        /// Request body, possibly cut.
        body: Option<String>,
        /// Size of the request body in bytes.
        body_size: Option<u64>,
        /// Response status.
        status: Option<u16>,
        /// Size of the response in bytes.
        resp_bytes: Option<u64>,
        /// Time to answer in milliseconds.
        duration_ms: Option<f64>,
    }

    /// Body of `auth`.
    Auth (Auth) {
        /// Host that was logged in to.
        host: Option<String>,
        /// Service: sshd, su, sudo, an application.
        service: Option<String>,
        /// What happened: `failed_password`, `accepted_password`, `invalid_user`, `logon`, …
        event: String,
        /// User who authenticates.
        user: Option<String>,
        /// Address of the client.
        src_ip: Option<String>,
        /// Port of the client.
        src_port: Option<u16>,
        /// Session or process.
        session: Option<String>,
        /// `success` or `failure`, where the event does not say it.
        outcome: Option<String>,
        /// User agent of the client.
        user_agent: Option<String>,
        /// Place of the client, as its enricher names it.
        location: Option<String>,
        /// The log line.
        raw: Option<String>,
    }

    /// Body of `data`.
    Data (Data) {
        /// User or role.
        user: Option<String>,
        /// User or role, in cloud audit logs.
        actor: Option<String>,
        /// Database or application session.
        session: Option<String>,
        /// Address of the client.
        src_ip: Option<String>,
        /// What was done: `select`, `copy_to`, `dump`, `GetObject`, `file_copy`, …
        action: String,
        /// Table, bucket, file.
        resource: Option<String>,
        /// Object, in activity logs.
        object: Option<String>,
        /// Rows read; absent when nobody counted, never guessed.
        rows: Option<u64>,
        /// Bytes that left.
        bytes_out: Option<u64>,
        /// Bytes, in activity logs.
        bytes: Option<u64>,
        /// Project, database or account that the resource belongs to.
        project: Option<String>,
        /// Host on which it happened.
        host: Option<String>,
        /// Service that was asked.
        service: Option<String>,
    }

    /// Body of `extension`.
    Extension (Extension) {
        /// Extension id.
        extension: String,
        /// What it did.
        action: String,
        /// What it did it to.
        resource: Option<String>,
        /// How often since the last event.
        count: Option<u64>,
        /// Excerpt of what it sent or wrote.
        payload: Option<String>,
        /// Share of one core, in percent.
        cpu_pct: Option<f64>,
        /// Bytes sent over the network since the last event.
        net_bytes: Option<u64>,
    }

    /// Body of `iot`.
    Iot (Iot) {
        /// Device id.
        device: Option<String>,
        /// MQTT client id.
        client_id: Option<String>,
        /// Address of the device.
        client_ip: Option<String>,
        /// MQTT packet type.
        msg_type: Option<String>,
        /// Topic.
        topic: Option<String>,
        /// Payload excerpt.
        payload: Option<String>,
        /// Payload size in bytes.
        payload_len: Option<u64>,
        /// Readings by name.
        metrics: Map<String, Value>,
        /// The packet broke the protocol.
        malformed: Option<Value>,
    }

    /// Body of `flow`, in Zeek's terms.
    Flow (Flow) {
        /// Originator's address.
        src_ip: Option<String>,
        /// Originator's port.
        src_port: Option<u16>,
        /// Responder's address.
        dst_ip: Option<String>,
        /// Responder's port.
        dst_port: Option<u16>,
        /// Transport: tcp, udp, icmp.
        proto: Option<String>,
        /// Application protocol.
        service: Option<String>,
        /// Duration in seconds.
        duration: Option<f64>,
        /// Payload bytes sent by the originator.
        orig_bytes: Option<u64>,
        /// Payload bytes sent by the responder.
        resp_bytes: Option<u64>,
        /// State of the connection.
        conn_state: Option<String>,
        /// Process of the originator that it belongs to, where the sensor knows it.
        process: Option<String>,
    }

    /// Body of `dns`.
    Dns (Dns) {
        /// Address that asked.
        src_ip: Option<String>,
        /// Name asked for.
        qname: String,
        /// Type asked for.
        qtype: Option<String>,
        /// Answer code.
        rcode: Option<String>,
        /// Number of answers.
        n_answers: Option<u64>,
    }

    /// Body of `host`.
    Host (Host) {
        /// Host name.
        host: Option<String>,
        /// Process name.
        process: Option<String>,
        /// Executable path.
        exe: Option<String>,
        /// Process id.
        pid: Option<u64>,
        /// Owner.
        user: Option<String>,
        /// What it did: `start`, `exit`, `connect`, `camera`, `microphone`, …
        action: String,
        /// Share of one core, in percent.
        cpu_pct: Option<f64>,
        /// Address it talks to.
        dst: Option<String>,
    }
}
