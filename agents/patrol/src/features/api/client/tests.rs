//! Clients as they come, and as they should not.

use super::*;

struct Life {
    client: Client,
    now: i64,
    worst: Option<Sign>,
}

impl Life {
    fn new() -> Self {
        Self { client: Client::default(), now: 1_700_000_000_000_000, worst: None }
    }

    fn call(&mut self, pause_ms: i64, method: &str, path: &str, status: u64) -> &mut Self {
        self.now += pause_ms * 1000;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = Call {
            ts_us: self.now,
            timed: true,
            method,
            path,
            query,
            status: Some(status),
            host: "h",
            agent: "a",
            user: "",
            known: false,
        };
        let sign = self.client.observe(&call);
        if sign.map_or(0.0, |s| s.score) > self.worst.map_or(0.0, |s| s.score) {
            self.worst = sign;
        }
        self
    }

    fn category(&self) -> &'static str {
        self.worst.filter(|sign| sign.score >= 0.5).map_or("none", |sign| sign.category)
    }
}

#[test]
fn attacks_are_recognised_within_twenty_requests() {
    let run = |each: &dyn Fn(&mut Life, i64)| {
        let mut life = Life::new();
        (0..20).for_each(|n| each(&mut life, n));
        life.category()
    };
    assert_eq!(
        run(&|l, n| {
            l.call(800, "GET", &format!("/x{n}a/admin"), 404);
        }),
        "scan"
    );
    assert_eq!(
        run(&|l, _| {
            l.call(1500, "POST", "/api/login", 401);
        }),
        "brute_force"
    );
    assert_eq!(
        run(&|l, n| {
            l.call(3000, "GET", &format!("/api/users/{}", 100 + n), 200);
        }),
        "id_enumeration"
    );
    assert_eq!(
        run(&|l, n| {
            l.call(900, "GET", &format!("/admin/a{n}b"), 403);
        }),
        "forbidden_access"
    );
    assert_eq!(
        run(&|l, _| {
            l.call(40, "GET", "/search", 200);
        }),
        "request_burst"
    );
    assert_eq!(
        run(&|l, n| {
            l.call(400, "GET", &format!("/item/t{}x{n}y", n * 7), 200);
        }),
        "none"
    );
    assert_eq!(
        run(&|l, _| {
            l.call(700, "POST", "/search", 500);
        }),
        "fuzzing"
    );
}

#[test]
fn busy_clients_are_left_alone() {
    let mut page = Life::new();
    for view in 0..10 {
        page.call(9000, "GET", &format!("/shop/thing-{}", view * 37 % 11), 200);
        for asset in 0..60 {
            page.call(15, "GET", &format!("/static/{asset}.js"), 200);
        }
        page.call(5, "GET", "/favicon.png", 404);
    }
    assert_eq!(page.category(), "none", "{:?}", page.worst);
    let mut batch = Life::new();
    for number in 0..200 {
        batch.call(500, "GET", &format!("/v1/orders?page={number}&limit=100"), 200);
    }
    assert_eq!(batch.category(), "none", "{:?}", batch.worst);
    let mut poll = Life::new();
    for _ in 0..500 {
        poll.call(2000, "GET", "/api/status", 401);
    }
    assert_eq!(poll.category(), "none", "{:?}", poll.worst);
}

#[test]
fn absurd_clocks_and_sizes_do_no_harm() {
    let mut life = Life::new();
    for ts in [i64::MIN, 0, i64::MAX, -1, i64::MAX, 5] {
        life.now = ts;
        life.call(0, "GET", "/1/18446744073709551616/99999999999999999999?id=-1&id=1e9", 999_999);
    }
    assert!(size_of::<Client>() <= 512, "{}", size_of::<Client>());
    assert_eq!(life.category(), "none");
}

#[test]
fn without_time_nothing_is_said_about_rates() {
    let mut client = Client::default();
    let mut call = |number: u64, status| {
        let path = format!("/orders/{}", number * 7919 % 10_007);
        client.observe(&Call {
            ts_us: 0,
            timed: false,
            method: "GET",
            path: &path,
            query: "",
            status: Some(status),
            host: "h",
            agent: "a",
            user: "",
            known: false,
        })
    };
    assert!((0..500).all(|number| call(number, 200).is_none()));
    let scan = (500..560).filter_map(|number| call(number, 404)).last();
    assert!(scan.is_some_and(|sign| sign.category == "scan" && sign.score >= 0.5), "{scan:?}");
}
