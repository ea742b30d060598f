//! Rows of a file, through everything.

use super::*;
use magsentinel_bus_schema::Level;

fn body(value: Value) -> Fields {
    Fields(value.as_object().cloned().unwrap_or_default())
}

fn score(patrol: &str, rows: Vec<Fields>) -> Vec<Fields> {
    let (config, inference) = (patrols::Config::default(), inference::Config::default());
    score_rows(patrol, &config, &inference, rows.into_iter()).unwrap().collect()
}

fn level(row: &Fields) -> Level {
    let level = row.get("scored").and_then(|s| s.get("level")).and_then(Value::as_str);
    Level::from_token(level.unwrap_or_default()).unwrap()
}

#[test]
fn self_test_bodies_give_the_features_they_were_published_with() {
    for entry in patrols::TABLE {
        let spec = entry.spec;
        let source = inference::Source::read(spec.name, spec.model, None).unwrap();
        let bodies = source.rows().iter().map(|row| row.body.clone());
        let made = features_rows(spec.name, &patrols::Config::default(), bodies).unwrap();
        for (at, (made, row)) in made.zip(source.rows()).enumerate() {
            let made = made.unwrap();
            let same = made["rows"].as_array().unwrap().iter().any(|x| {
                let x = x.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32);
                x.zip(&row.x).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0))
            });
            assert!(same, "{} row {at}", spec.name);
        }
    }
}

#[test]
fn rows_come_back_in_order_with_a_verdict_each() {
    let mut rows: Vec<Fields> = (0..150)
        .map(|n| body(json!({"text": format!("SELECT a FROM t WHERE id = {n}"), "n": n})))
        .collect();
    rows[70] =
        body(json!({"text": "1' UNION SELECT NULL,NULL,NULL-- -", "kind": "param", "n": 70}));
    rows[80] = body(json!({"no": "text", "n": 80}));
    rows[81] = body(json!({"text": 7, "n": 81}));
    rows[82] = body(json!({"text": "select 1", "ts": "yesterday", "n": 82}));
    let scored = score("sql_guard", rows);
    for (n, row) in scored.iter().enumerate() {
        assert_eq!(row.get("n"), Some(&json!(n)));
        let error = row["scored"].get("error").and_then(Value::as_str);
        assert_eq!(error.is_some(), (80..=82).contains(&n), "{n} {error:?}");
    }
    assert!(level(&scored[70]) >= Level::High);
    assert_eq!(scored[70]["scored"]["category"], "union_injection");
    assert!(scored[80]["scored"]["error"].as_str().unwrap().contains("no text"));
}

#[test]
fn annotations_are_never_read() {
    let sql = ["1' or 1=1 --", "SELECT 1", "admin", "1' AND SLEEP(5)#"];
    let data: Vec<Value> = (0..40)
        .map(|n| {
            let (action, rows) = if n == 39 { ("copy_to", 90_000) } else { ("select", n % 7) };
            let ts = 1_767_605_432 + n * 60;
            json!({"ts": ts, "user": "app", "action": action, "resource": "orders", "rows": rows})
        })
        .collect();
    let api = ["q=<script>alert(1)</script>", "page=2", "id=1'+or+1=1--+", "f=../../../etc/passwd"];
    let bodies = |with: fn(usize) -> Value| {
        let sql = sql.iter().map(|text| json!({"text": text, "kind": "param"}));
        let annotate = move |(at, mut row): (usize, Value)| {
            if let (Value::Object(row), Value::Object(more)) = (&mut row, with(at)) {
                row.extend(more);
            }
            body(row)
        };
        let sql: Vec<_> = sql.enumerate().map(annotate).collect();
        let data: Vec<_> = data.iter().cloned().enumerate().map(annotate).collect();
        let api = api.iter().map(|query| json!({"path": "/", "query": query, "client": "c"}));
        let api: Vec<_> = api.enumerate().map(annotate).collect();
        (sql, data, api)
    };
    let verdicts = |with| {
        let (sql, data, api) = bodies(with);
        let rows = score("sql-guard", sql).into_iter().chain(score("data-flow", data));
        let rows = rows.chain(score("api-watch", api));
        rows.map(|row| row["scored"].clone()).collect::<Vec<_>>()
    };
    let bare = verdicts(|_| json!({}));
    let one = verdicts(|at| {
        json!({"label": at % 2, "label_quality": "gold", "category": "union", "source": "x",
               "phase": "exfiltration", "event_label": "attack", "scored": {"level": "high"}})
    });
    let other = verdicts(|at| {
        json!({"label": 1 - at % 2, "label_quality": "noisy", "category": "benign",
               "source": "1' or 1=1 --", "phase": "' union select null,null--",
               "event_label": 0, "scored": "xp_cmdshell"})
    });
    assert_eq!(bare, one);
    assert_eq!(bare, other);
}

fn reads(user: &str, count: i64) -> Vec<Value> {
    let table = |n: i64| ["products", "orders", "customers", "carts"][n as usize % 4];
    (0..count)
        .map(|n| {
            json!({"ts": 1_767_605_432 + n * 90, "user": user, "session": "s1", "project": "shop",
                   "action": "select", "resource": table(n), "rows": 1 + n % 12})
        })
        .collect()
}

#[test]
fn a_role_that_suddenly_takes_everything_is_flagged_high() {
    let copy = json!({"action": "copy_to", "resource": "customers", "rows": 48_211});
    let select = json!({"action": "select", "resource": "customers", "rows": 48_211});
    let uncounted = json!({"action": "copy_to", "resource": "customers"});
    for (last, least) in [(copy, Level::High), (select, Level::High), (uncounted, Level::Medium)] {
        let mut rows = reads("shop_app", 60);
        let mut theft = json!({"ts": 1_767_605_432 + 60 * 90, "user": "shop_app", "session": "s1",
                               "project": "shop"});
        if let (Value::Object(theft), Value::Object(last)) = (&mut theft, last.clone()) {
            theft.extend(last);
        }
        rows.push(theft);
        let scored = score("data-flow", rows.into_iter().map(body).collect());
        let (theft, calm) = scored.split_last().unwrap();
        assert!(level(theft) >= least, "{last} {:?}", theft["scored"]);
        assert!(calm.iter().all(|row| !level(row).is_flagged()));
    }
}

#[test]
fn an_unknown_patrol_is_told_with_the_known_ones() {
    let error =
        features_rows("wine", &patrols::Config::default(), std::iter::empty::<Fields>()).err();
    assert!(error.unwrap().to_string().contains("sql-guard, data-flow"));
}
