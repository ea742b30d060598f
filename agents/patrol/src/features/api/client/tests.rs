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
            ..Call::default()
        };
        self.take(&call)
    }

    fn take(&mut self, call: &Call<'_>) -> &mut Self {
        let sign = self.client.observe(&Call { ts_us: self.now, timed: true, ..*call });
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
        run(&|l, n| {
            l.call(1250, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
        }),
        "scraping"
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
fn requests_in_between_hide_nothing() {
    let run = |count: i64, each: &dyn Fn(&mut Life, i64)| {
        let mut life = Life::new();
        (0..count).for_each(|n| each(&mut life, n));
        life.category()
    };
    let decoys = ["/about", "/terms", "/help"];
    for many in 1..=decoys.len() {
        let each = |l: &mut Life, _: i64| {
            let pause = 40 / (many as i64 + 1);
            l.call(pause, "GET", "/search?q=1", 200);
            decoys.iter().take(many).for_each(|decoy| {
                l.call(pause, "GET", decoy, 200);
            });
        };
        assert_eq!(run(20, &each), "request_burst", "{many}");
        let each = |l: &mut Life, n: i64| {
            l.call(2000, "GET", &format!("/api/users/{}", 100 + n), 200);
            decoys.iter().take(many).for_each(|decoy| {
                l.call(500, "GET", decoy, 200);
            });
        };
        assert_eq!(run(20, &each), "id_enumeration", "{many}");
        let each = |l: &mut Life, n: i64| {
            l.call(300, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
            decoys.iter().take(many).for_each(|decoy| {
                l.call(100, "GET", decoy, 200);
            });
        };
        assert_eq!(run(25, &each), "scraping", "{many}");
    }
}

#[test]
fn furniture_is_no_burst_but_steps_and_floods_are_counted_whatever_the_answer() {
    let base = Call { method: "GET", host: "cdn.example", agent: "a", ..Call::default() };
    let burst = |call: Call<'_>| {
        let mut life = Life::new();
        for _ in 0..24 {
            life.now += 100_000;
            life.take(&Call { path: "/combiner/i", query: "img=a", ..call });
        }
        life.category()
    };
    let ordinary = Call { status: Some(200), resp_bytes: Some(4000), ..base };
    assert_eq!(burst(ordinary), "request_burst");
    for (call, what) in [
        (Call { referer: "http://www.example/", ..ordinary }, "none"),
        (Call { referer: "http://cdn.example/x", ..ordinary }, "request_burst"),
        (Call { resp_bytes: Some(43), ..ordinary }, "none"),
        (Call { resp_bytes: Some(43), method: "POST", ..ordinary }, "request_burst"),
        (Call { status: Some(206), ..ordinary }, "none"),
        (Call { status: Some(302), ..ordinary }, "none"),
    ] {
        assert_eq!(burst(call), what, "{call:?}");
    }
    let mut steps = Life::new();
    for n in 0..20 {
        steps.call(3000, "GET", &format!("/account/{}", 4000 + n), 302);
    }
    assert_eq!(steps.category(), "id_enumeration");
    let mut hammered = Life::new();
    for _ in 0..200 {
        hammered.call(5, "GET", "/account", 302);
    }
    assert_eq!(hammered.category(), "request_burst", "four times as many are a burst all the same");
    let mut flood = Life::new();
    for n in 0..4000 {
        flood.call(5, "GET", &format!("/x{n}.js"), 200);
    }
    assert_eq!(flood.category(), "request_flood");
    let mut mirror = Life::new();
    for n in 0..80 {
        mirror.call(
            if n < 20 { 50 } else { 900 },
            "GET",
            &format!("/pool/{}/lib{n}-dev_2.{n}_amd64.deb", n % 3),
            200,
        );
    }
    assert_eq!(mirror.category(), "none", "{:?}", mirror.worst);
}

#[test]
fn pages_taken_without_furniture_are_scraped_and_pages_shown_are_read() {
    let mut reader = Life::new();
    for n in 0..40 {
        reader.call(2950, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
        for asset in 0..5 {
            reader.call(10, "GET", &format!("/static/{asset}.css"), 200);
        }
    }
    assert_eq!(reader.category(), "none", "{:?}", reader.worst);
    let mut taker = Life::new();
    for n in 0..40 {
        taker.call(3000, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
    }
    assert_eq!(taker.category(), "scraping");
    let mut crawler = Life::new();
    crawler.call(0, "GET", "/robots.txt", 200);
    for n in 0..100 {
        crawler.call(3000, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
    }
    assert_eq!(crawler.category(), "none", "{:?}", crawler.worst);
    let mut slow = Life::new();
    for n in 0..60 {
        slow.call(7000, "GET", &format!("/item/{}", n * 7919 % 1000), 200);
    }
    assert_eq!(slow.category(), "none", "{:?}", slow.worst);
}

#[test]
fn few_entries_that_scanners_try_are_enough_and_whoever_gets_in_is_let_be() {
    let entry = |path: &'static str, status| Call {
        method: "GET",
        path,
        status: Some(status),
        agent: "a",
        probe: 1.0,
        ..Call::default()
    };
    let mut prober = Life::new();
    prober.take(&entry("/wp-login.php", 404));
    prober.now += 60_000_000;
    prober.take(&entry("/wp-login.php", 404));
    assert_eq!(prober.category(), "none");
    prober.now += 300_000_000;
    prober.take(&entry("/administrator/", 404));
    assert_eq!(prober.category(), "scan", "{:?}", prober.worst);
    let mut owner = Life::new();
    owner.take(&entry("/wp-admin/", 302)).take(&entry("/wp-login.php", 200));
    owner.call(9000, "POST", "/wp-login.php", 302);
    owner.take(&entry("/wp-admin/index.php", 200)).take(&entry("/wp-admin/admin.php", 200));
    assert_eq!(owner.category(), "none", "{:?}", owner.worst);
}

#[test]
fn a_scanner_stays_flagged_for_ten_minutes_under_its_own_name() {
    let mut life = Life::new();
    for n in 0..8 {
        life.call(500, "GET", &format!("/x{n}a"), 404);
    }
    for n in 0..40 {
        life.call(100, "GET", &format!("/page{n}x"), 200);
    }
    let now = |life: &Life, after_s: i64, agent: &'static str| {
        let call =
            Call { ts_us: life.now + after_s * 1_000_000, path: "/", agent, ..Call::default() };
        life.client.clone().observe(&call)
    };
    let sign = now(&life, 60, "a").unwrap();
    assert!(sign.score > 0.7 && sign.category == "scan", "{sign:?}");
    assert!(sign.reason().starts_with("client: flagged for scan"), "{}", sign.reason());
    assert!(now(&life, 590, "a").is_some_and(|sign| sign.score >= 0.5));
    assert!(now(&life, 700, "a").is_none_or(|sign| sign.score < 0.5));
    assert!(now(&life, 60, "b").is_none_or(|sign| sign.score < 0.5));
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
            method: "GET",
            path: &path,
            status: Some(status),
            host: "h",
            agent: "a",
            ..Call::default()
        })
    };
    assert!((0..500).all(|number| call(number, 200).is_none()));
    let scan = (500..560).filter_map(|number| call(number, 404)).last();
    assert!(scan.is_some_and(|sign| sign.category == "scan" && sign.score >= 0.5), "{scan:?}");
}
