//! A row as the HTTP request that a web application firewall would have seen.

use crate::rows::Row;
use magsentinel_bus_schema::Kind;
use magsentinel_tests::rivals::Request;
use serde_json::Value;

/// The request of a row: its own, or for a text one that carries it as a parameter.
pub(crate) fn of(kind: Kind, row: &Row) -> Option<Request> {
    match (kind, row.text("raw")) {
        (Kind::Sql, _) => Some(Request::with_parameter(row.text("text")?)),
        (Kind::Api, Some(raw)) => Some(Request::of_raw(raw).complete()),
        (Kind::Api, None) => Some(of_fields(row).complete()),
        _ => None,
    }
}

fn of_fields(row: &Row) -> Request {
    let target = ["path", "uri", "url"].iter().find_map(|name| row.text(name));
    let mut uri = target.unwrap_or("/").to_owned();
    if let Some(query) = row.text("query").filter(|query| !query.is_empty()) {
        uri.push('?');
        uri.push_str(query);
    }
    let headers = match row.body.get("headers") {
        Some(Value::Object(headers)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            headers.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
        }
        _ => Vec::new(),
    };
    Request {
        method: row.text("method").unwrap_or("GET").to_owned(),
        uri,
        headers,
        body: row.text("body").unwrap_or_default().to_owned(),
    }
}
