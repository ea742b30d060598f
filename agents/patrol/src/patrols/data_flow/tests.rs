//! Each way in which data leaves beside the piece of ordinary life that it resembles, what clouds
//! call them, and bodies that make no sense.

use super::*;
use crate::{inference, patrols, score::score_rows};
use serde_json::Map;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// A Monday, midnight UTC.
const START: i64 = 1_772_409_600;

fn body(value: Value) -> Fields {
    Fields(value.as_object().cloned().unwrap_or_default())
}

/// The verdicts on bodies, in order of time.
fn scored(mut bodies: Vec<Value>) -> Vec<Map<String, Value>> {
    bodies.sort_by_key(|body| body["ts"].as_i64());
    verdicts(bodies)
}

/// The verdicts on bodies, in their own order.
fn verdicts(bodies: Vec<Value>) -> Vec<Map<String, Value>> {
    let (config, inference) = (patrols::Config::default(), inference::Config::default());
    let rows = bodies.into_iter().map(body);
    let scored = score_rows("data-flow", &config, &inference, rows).unwrap();
    scored.map(|row| row["scored"].as_object().cloned().unwrap()).collect()
}

fn flagged(verdict: &Map<String, Value>) -> bool {
    matches!(verdict.get("level").and_then(Value::as_str), Some("medium" | "high" | "critical"))
}

fn level(verdict: &Map<String, Value>) -> &str {
    verdict.get("level").and_then(Value::as_str).unwrap_or_default()
}

fn access(at: i64, user: &str, action: &str, resource: &str, rows: u64) -> Value {
    json!({"ts": START + at, "user": user, "action": action, "resource": resource, "rows": rows,
           "project": "shop", "src_ip": "10.2.0.7"})
}

/// A clerk's fortnight: some forty reads of a few dozen rows on each working day.
fn clerk() -> Vec<Value> {
    let tables = ["orders", "products", "carts", "customers", "stock"];
    let mut made = Vec::new();
    for day in (0..14i64).filter(|day| day % 7 < 5) {
        for n in 0..40i64 {
            let at = day * DAY + 8 * HOUR + n * 720 + (n * n * 37 + day * 131) % 500;
            let rows = 3 + (n * 17 + day * 5) % 40;
            made.push(access(at, "clerk", "select", tables[n as usize % 5], rows as u64));
        }
    }
    made
}

/// The Monday after [`clerk`].
const NOW: i64 = 14 * DAY;

/// The verdicts on what follows a past that must itself be calm.
fn after(past: Vec<Value>, then: Vec<Value>) -> Vec<Map<String, Value>> {
    let known = past.len();
    let mut all = scored(past.into_iter().chain(then).collect());
    let loud: Vec<_> = all.iter().take(known).filter(|verdict| flagged(verdict)).collect();
    assert!(loud.is_empty(), "the past is flagged: {loud:?}");
    all.split_off(known)
}

#[test]
fn bulk_reads_at_night_are_flagged_and_a_nightly_backup_is_not() {
    let bulk = |n: i64| {
        let table = ["customers", "payments", "orders"][n as usize % 3];
        access(NOW + 2 * HOUR + n * 45, "clerk", "select", table, 400 + 10 * n as u64)
    };
    let night = after(clerk(), (0..12).map(bulk).collect());
    assert!(night.iter().any(flagged), "{night:?}");
    let reasons = night.iter().map(|v| v["reasons"].to_string()).collect::<String>();
    assert!(reasons.contains("an unusual hour for this user"), "{reasons}");
    let backup = |day: i64| {
        ["orders", "products", "customers", "carts"].into_iter().enumerate().map(move |(n, table)| {
            let rows = [80_000, 12_000, 30_000, 9_000][n] + day as u64 * 90;
            access(day * DAY + 2 * HOUR + n as i64 * 20, "backup", "dump", table, rows)
        })
    };
    let nights: Vec<Value> = (0..14).flat_map(backup).collect();
    let again: Vec<Value> = (14..17).flat_map(backup).collect();
    let verdicts = scored(nights.into_iter().chain(again).collect());
    // The very first nights of a job nobody knows may be flagged; a habit is not.
    let late: Vec<_> = verdicts.iter().skip(8).filter(|verdict| flagged(verdict)).collect();
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn a_sweep_over_many_projects_is_flagged_and_a_second_project_is_not() {
    let sweep = |n: i64| {
        let mut body = access(NOW + 9 * HOUR + n * 20, "clerk", "select", "customers", 30);
        body["project"] = json!(format!("p{}", n * 7 % 100));
        body["resource"] = json!(format!("customers_{n}"));
        body
    };
    let many = after(clerk(), (0..20).map(sweep).collect());
    assert!(many.iter().any(flagged), "{many:?}");
    let second = |n: i64| {
        let mut body = access(NOW + 9 * HOUR + n * 600, "clerk", "select", "orders", 20);
        body["project"] = json!("wholesale");
        body
    };
    let one = after(clerk(), (0..10).map(second).collect());
    assert!(!one.iter().any(flagged), "{one:?}");
}

#[test]
fn copies_into_new_tables_are_flagged_and_a_pipeline_is_not() {
    let copy = |n: i64| {
        access(NOW + 10 * HOUR + n * 60, "clerk", "insert_select", "customers", 4_000)
    };
    let copies = after(clerk(), (0..3).map(copy).collect());
    assert!(copies.iter().any(flagged), "{copies:?}");
    let pipeline = |n: i64| {
        let action = ["insert_select", "select", "insert_select"][n as usize % 3];
        let table = ["orders", "metrics", "events"][n as usize % 3];
        access(n * 1800, "etl", action, table, 2_000 + (n as u64 * 791) % 1_500)
    };
    let all = scored((0..48 * 14).map(pipeline).collect());
    let late = all.iter().skip(48).filter(|verdict| flagged(verdict)).count();
    assert_eq!(late, 0, "after its first day a pipeline is known");
}

#[test]
fn a_dump_by_a_role_that_only_reads_is_flagged_and_names_itself() {
    let tables = ["customers", "payments", "orders", "accounts", "carts"];
    let dump = |n: i64| {
        let table = tables[n as usize % 5];
        access(NOW + 11 * HOUR + n * 10, "clerk", "pg_dump", table, 20_000)
    };
    let dumps = after(clerk(), (0..5).map(dump).collect());
    assert!(dumps.iter().any(|v| flagged(v) && v["category"] == "bulk_export"), "{dumps:?}");
    // A backup of the schema alone carries no rows.
    let schema = access(NOW + 11 * HOUR, "clerk", "show", "orders", 0);
    assert!(!flagged(&after(clerk(), vec![schema])[0]));
}

#[test]
fn a_slow_drain_is_flagged_within_days_and_the_end_of_a_month_is_not() {
    let drain = |day: i64| {
        (0..20).map(move |n| {
            let at = NOW + day * DAY + 8 * HOUR + n * 1500;
            access(at, "clerk", "select", "customers", 300)
        })
    };
    let slow = after(clerk(), (0..5).flat_map(drain).collect());
    assert!(slow.iter().any(flagged), "{slow:?}");
    let month = |n: i64| access(NOW + 15 * HOUR + n * 900, "clerk", "select", "orders", 130);
    let end = after(clerk(), (0..3).map(month).collect());
    assert!(!end.iter().any(flagged), "{end:?}");
}

/// The verdict on one call of a cloud's audit log by an account with no past.
fn call(action: &str, params: Option<&str>) -> Map<String, Value> {
    let mut body = json!({"ts": START, "actor": "arn:aws:iam::111122223333:user/ann",
                          "action": action, "resource": "thing", "src_ip": "10.0.0.9"});
    if let Some(params) = params {
        body["params"] = json!(params);
    }
    verdicts(vec![body]).remove(0)
}

#[test]
fn what_opens_a_cloud_store_is_flagged_and_its_look_alikes_are_not() {
    let open = r#"{"bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}}"#;
    let turned = r#"{"policy":{"Statement":[{"Principal":{"AWS":"*"},"Effect":"Allow"}]}}"#;
    let denied = r#"{"bucketPolicy":{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}}"#;
    let other = r#"{"bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"}}]}}"#;
    let both = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"}},{"Effect":"Deny","Principal":"*"}]}"#;
    let narrowed = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}]}"#;
    let share = r#"{"createVolumePermission":{"add":{"items":[{"userId":"444455556666"}]}}}"#;
    let unshare = r#"{"createVolumePermission":{"remove":{"items":[{"userId":"444455556666"}]}}}"#;
    let database = r#"{"attributeName":"restore","valuesToAdd":["444455556666"]}"#;
    let described = r#"{"imageId":"ami-1","description":{"value":"additional notes"}}"#;
    let everybody = r#"{"bindingDeltas":[{"action":"ADD","member":"allUsers"}]}"#;
    let nobody = r#"{"bindingDeltas":[{"action":"REMOVE","member":"allUsers"}]}"#;
    let away = r#"{"Rule":{"Destination":{"Account":"444455556666","Bucket":"arn:aws:s3:::b"}}}"#;
    let here = r#"{"Rule":{"Destination":{"Bucket":"arn:aws:s3:::b"}}}"#;
    for (action, params, wanted) in [
        ("PutBucketPolicy", Some(open), "medium"),
        ("PutBucketPolicy", Some(turned), "medium"),
        ("PutBucketPolicy", Some(denied), "none"),
        ("PutBucketPolicy", Some(other), "none"),
        ("PutBucketPolicy", Some(both), "none"),
        ("PutBucketPolicy", Some(narrowed), "low"),
        ("PutBucketPolicy", None, "none"),
        ("PutBucketAcl", Some(r#"{"x-amz-acl":["public-read"]}"#), "medium"),
        ("PutBucketAcl", Some(r#"{"x-amz-acl":["private"]}"#), "none"),
        ("storage.setIamPermissions", Some(everybody), "medium"),
        ("storage.setIamPermissions", Some(nobody), "none"),
        ("Microsoft.Storage/storageAccounts/write", Some(r#"{"allowBlobPublicAccess":true}"#), "medium"),
        ("Microsoft.Storage/storageAccounts/write", Some(r#"{"allowBlobPublicAccess":false}"#), "none"),
        ("ModifySnapshotAttribute", Some(share), "medium"),
        ("ModifySnapshotAttribute", Some(unshare), "low"),
        ("ModifySnapshotAttribute", None, "medium"),
        ("ModifyDBSnapshotAttribute", Some(database), "medium"),
        ("ModifyImageAttribute", Some(described), "low"),
        ("PutBucketReplication", Some(away), "medium"),
        ("PutBucketReplication", Some(here), "low"),
        ("GetBucketReplication", None, "none"),
        ("CreateInstanceExportTask", None, "medium"),
        ("StartExportTask", None, "low"),
        ("DescribeExportTasks", None, "none"),
        ("BatchGetSecretValue", None, "low"),
        ("GetPasswordData", None, "low"),
        ("GetSecretValue", None, "none"),
    ] {
        let verdict = call(action, params);
        assert_eq!(level(&verdict), wanted, "{action} {params:?} {verdict:?}");
    }
}

#[test]
fn many_secrets_are_flagged_unless_their_keeper_reads_them() {
    let read = |at: i64, n: i64| {
        json!({"ts": START + at, "actor": "ann", "action": "GetSecretValue",
               "resource": format!("secret-{n}"), "src_ip": "10.0.0.9"})
    };
    let theft = scored((0..14).map(|n| read(n * 2, n)).collect());
    assert!(theft.iter().any(|v| flagged(v) && v["category"] == "credential_access"), "{theft:?}");
    let start = scored((0..4).map(|n| read(n, n)).collect());
    assert!(!start.iter().any(flagged), "a program's start: {start:?}");
    let keeps = |n: i64| {
        let mut body = read(n, n);
        body["action"] = json!("CreateSecret");
        body
    };
    let keeper: Vec<Value> =
        (0..14).map(keeps).chain((0..14).map(|n| read(60 + n, n))).collect();
    let sign = |v: &Map<String, Value>| v["reasons"].to_string().contains("secrets read within");
    assert!(!scored(keeper).iter().any(|v| v.contains_key("reasons") && sign(v)));
}

#[test]
fn bad_bodies_are_refused_or_read_as_far_as_they_go() {
    let long = "x".repeat(10_000_000);
    let bodies = vec![
        json!({"ts": START, "user": "ann", "resource": "t"}),
        json!({"ts": START, "user": "ann", "action": ["select"]}),
        json!({"ts": START, "user": "ann", "action": "select", "rows": -1}),
        json!({"ts": START, "user": "ann", "action": "select", "bytes_out": "many"}),
        json!({"ts": "yesterday", "user": "ann", "action": "select"}),
        json!({"ts": START, "user": "ann", "action": "select", "rows": 1u64 << 63}),
        json!({"ts": START, "action": "select"}),
        json!({"ts": 1, "user": "ann", "action": "select", "rows": 3}),
        json!({"ts": START, "user": long, "action": long, "resource": long, "project": long,
               "src_ip": long, "params": long}),
    ];
    let refused: Vec<bool> =
        verdicts(bodies).iter().map(|v| v.contains_key("error")).collect();
    assert_eq!(refused, [true, true, true, true, true, false, false, false, false]);
}

#[test]
fn a_clock_that_goes_back_changes_no_verdict() {
    let straight = clerk();
    let mut bent = straight.clone();
    // A source that set its clock back for an hour tells the same accesses.
    for body in bent.iter_mut().skip(200).take(20) {
        body["ts"] = json!(body["ts"].as_i64().unwrap_or(0) - 1800);
    }
    let loud = verdicts(bent).iter().filter(|verdict| flagged(verdict)).count();
    assert_eq!(loud, 0);
}

#[test]
fn annotations_change_nothing() {
    let plain = clerk();
    let labelled = plain.iter().enumerate().map(|(n, body)| {
        let mut body = body.clone();
        for name in crate::body::ANNOTATIONS {
            body[*name] = json!(["export", "1", "bulk_export"][n % 3]);
        }
        body
    });
    assert_eq!(scored(labelled.collect()), scored(plain));
}
