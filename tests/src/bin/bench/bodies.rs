//! Bodies of ordinary and less ordinary events, the same in every run.

use magsentinel_bus_schema::Fields;
use serde_json::{Value, json};

/// The `n`-th body that a patrol sees, of key `key`.
pub fn body(patrol: &str, n: u64, key: u64) -> Fields {
    let value = match patrol {
        "sql-guard" => json!({"text": super::statement(n), "user": format!("app{key}")}),
        "api-watch" => request(n, key),
        "auth-sentry" => login(n, key),
        "net-sentry" => question(n, key),
        _ => json!({
            "user": format!("user{key}"), "action": "select", "rows": 20 + n % 50,
            "bytes_out": 4000 + n % 9000, "resource": format!("table{}", n % 9),
            "session": format!("s{key}"),
        }),
    };
    let Value::Object(fields) = value else { return Fields::default() };
    Fields(fields)
}

/// An API request of one KiB, all in all.
fn request(n: u64, key: u64) -> Value {
    let items: Vec<Value> = (0..4)
        .map(|item| {
            json!({
                "sku": format!("AB-{:05}", (n * 7 + item) % 90_000), "count": 1 + item,
                "note": "please leave it with the neighbours at number 12",
            })
        })
        .collect();
    let order = json!({
        "customer": {"name": "Maria O'Brien", "mail": format!("maria{n}@example.com")},
        "items": items, "comment": "Could you deliver on Tuesday? I am not in on Monday.",
    });
    json!({
        "client": address(key), "method": "POST", "path": format!("/api/v2/shops/{}/orders", n % 50),
        "query": format!("page={}&sort=date&lang=en", n % 20),
        "headers": {
            "host": "shop.example.com", "accept": "application/json", "accept-language": "en",
            "content-type": "application/json",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "cookie": format!("session={:032x}; theme=dark", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        },
        "body": order.to_string(), "status": 201, "resp_bytes": 512, "duration_ms": 12.5,
    })
}

fn login(n: u64, key: u64) -> Value {
    let event = if n % 10 == 3 { "failed_password" } else { "accepted_password" };
    json!({
        "host": format!("web{}", n % 5), "service": "sshd", "event": event,
        "user": format!("user{key}"), "src_ip": address(key), "src_port": 40_000 + n % 20_000,
        "session": format!("sshd[{n}]"),
    })
}

fn question(n: u64, key: u64) -> Value {
    let hosts = ["www", "static-assets", "api", "d3f1a9", "mail.eu-west-1", "telemetry"];
    let names = ["example", "green-river", "uni-heidelberg", "openstreetmap", "shop24"];
    let (host, name) = (hosts[n as usize % hosts.len()], names[n as usize % names.len()]);
    json!({
        "src_ip": address(key), "qname": format!("{host}.{name}{}.co.uk", n % 90),
        "qtype": "A", "rcode": "NOERROR", "n_answers": 1,
    })
}

fn address(key: u64) -> String {
    format!("10.{}.{}.{}", key >> 16 & 255, key >> 8 & 255, key & 255)
}
