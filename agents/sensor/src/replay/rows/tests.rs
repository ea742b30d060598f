use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

fn read(name: &str, bytes: &[u8], kind: Option<Kind>) -> Vec<Result<Row, BadRow>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Recording::File(path).rows(kind.as_slice(), 1000).unwrap().map(Result::unwrap).collect()
}

#[test]
fn wrapped_rows_and_bare_bodies_are_read() {
    let text = "{\"kind\":\"api\",\"ts\":1,\"body\":{\"method\":\"GET\",\"path\":\"/\",\"body\":\"x\"}}\n\n\
                {\"kind\":\"query\",\"text\":\"select 1\",\"ts\":2}";
    let found = read("r.jsonl", text.as_bytes(), Some(Kind::Sql));
    let told: Vec<_> = found
        .iter()
        .map(|r| r.as_ref().map(|r| (r.number, r.kind, r.ts.map(Timestamp::micros))))
        .collect();
    assert_eq!(told, [Ok((1, Kind::Api, Some(1_000_000))), Ok((2, Kind::Sql, Some(2_000_000)))]);
}

#[test]
fn csv_rows_are_bodies_with_numbers_where_the_kind_has_them() {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(b"ts,user,action,bytes\n2010-01-02T06:55:16,u1,\"file\ncopy\",42\n,u2,x,\n")
        .unwrap();
    let found = read("r.csv.gz", &gz.finish().unwrap(), Some(Kind::Data));
    let first = found[0].as_ref().unwrap();
    assert_eq!(first.body.get("bytes"), Some(&Value::from(42)));
    assert_eq!(first.body.get("action"), Some(&Value::from("file\ncopy")));
    assert_eq!(found[1].as_ref().unwrap().body.get("bytes"), None);
    assert_eq!(found[1].as_ref().unwrap().ts, None);
}

#[test]
fn bad_rows_are_told_by_number_and_the_good_ones_go_on() {
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2000));
    let text = format!(
        "{{\"text\":\n[]\n{{\"text\":\"a\",\"ts\":\"soon\"}}\n{long}\n{{}}\n{{\"text\":\"a\"}}\n"
    );
    let found = read("r.jsonl", text.as_bytes(), Some(Kind::Sql));
    let bad: Vec<_> = found.iter().filter_map(|r| r.as_ref().err()).map(|b| b.number).collect();
    assert_eq!((bad, found.len()), (vec![1, 2, 3, 4, 5], 6));
    let unknown = read("r.jsonl", b"{\"text\":\"a\"}\n", None);
    assert!(unknown[0].as_ref().unwrap_err().reason.contains("--kind"));
}

#[test]
fn files_of_other_systems_are_read() {
    let bom = "\u{feff}{\"text\":\"a\",\"ts\":1795255100123}\r\n\r\n{\"text\":\"b\"}";
    let found = read("r.jsonl", bom.as_bytes(), Some(Kind::Sql));
    assert_eq!(found[0].as_ref().unwrap().ts.unwrap().micros(), 1_795_255_100_123_000);
    assert_eq!((found.len(), found[1].is_ok()), (2, true));
    let csv = "\u{feff}, user ,action,rows,timestamp\r\n0,ann,\"sel\r\nect\",\"12.0\",\
               \"Sat, 21 Nov 2026 10:00:00 +0000\"\r\n";
    let found = read("r.csv", csv.as_bytes(), Some(Kind::Data));
    let row = found[0].as_ref().unwrap();
    assert_eq!(row.body.get("user"), Some(&Value::from("ann")));
    assert_eq!(row.body.get("rows"), Some(&Value::from(12)));
    assert_eq!(row.ts.map(|ts| ts.to_string()).as_deref(), Some("2026-11-21T10:00:00Z"));
    assert_eq!(row.body.get(""), None);
    // Two archives, one after the other.
    let mut both = Vec::new();
    for text in ["{\"text\":\"a\"}\n", "{\"text\":\"b\"}\n"] {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        both.extend(gz.finish().unwrap());
    }
    assert_eq!(read("r.jsonl.gz", &both, Some(Kind::Sql)).len(), 2);
    let empty = GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap();
    for (name, bytes) in [("r.jsonl", &b""[..]), ("r.csv", b""), ("r.csv.gz", &empty)] {
        assert_eq!(read(name, bytes, Some(Kind::Sql)), [], "{name}");
    }
}

#[test]
fn a_row_without_a_kind_is_wrapped_or_bare_by_what_it_holds() {
    let told = |text: &str, kind| {
        let row = read("r.jsonl", text.as_bytes(), kind).remove(0);
        row.map(|row| (row.kind, Value::Object(row.body.0))).map_err(|bad| bad.reason)
    };
    let wrapped = "{\"ts\":1,\"body\":{\"text\":\"a\"}}";
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let shaped = body("{\"text\":\"a\",\"kind\":\"param\"}");
    assert_eq!(told(wrapped, Some(Kind::Sql)), Ok((Kind::Sql, shaped)));
    // A request may be told of by its body alone.
    let alone = told("{\"body\":{\"a\":1}}", Some(Kind::Api));
    assert_eq!(alone, Ok((Kind::Api, body("{\"body\":\"{\\\"a\\\":1}\"}"))));
    // A request may have an object as its body.
    let request = "{\"method\":\"PUT\",\"path\":\"/\",\"kind\":\"x\",\"body\":\"{}\"}";
    assert_eq!(told(request, Some(Kind::Api)), Ok((Kind::Api, body(request))));
    assert!(told(wrapped, None).unwrap_err().contains("--kind"));
    let unknown = "{\"kind\":\"wine\",\"body\":{}}";
    assert!(told(unknown, None).unwrap_err().contains("wine"));
    assert!(told("[{\"text\":\"a\"}]", Some(Kind::Sql)).unwrap_err().contains("jq"));
}

#[test]
fn what_can_never_be_rows_is_refused_by_name() {
    let refused = |name: &str, bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let rows = Recording::File(path).rows(&[Kind::Sql], 1000);
        let first = rows.map(|mut rows| rows.next());
        match first {
            Err(error) | Ok(Some(Err(error))) => error.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    };
    for (bytes, named) in [
        (&b"\x28\xb5\x2f\xfd\0"[..], "zstd"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (b"PK\x03\x04\0", "zip"),
        (b"\xff\xfe{\0", "UTF-16"),
    ] {
        assert!(refused("r.jsonl", bytes).contains(named), "{named}");
    }
    assert!(refused("r.csv", b"text,user,text\na,b,c\n").contains("\"text\" is there twice"));
    assert!(refused("r.csv", b"text;user\na;b\n").contains("commas"));
}

#[test]
fn a_truncated_archive_is_an_error_and_no_end() {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    for n in 0..1000 {
        writeln!(gz, "{{\"text\":\"row {n}\"}}").unwrap();
    }
    let bytes = gz.finish().unwrap();
    let cut = Cow::Owned(bytes[..bytes.len() - 20].to_vec());
    let recording = Recording::Built { name: "x".into(), bytes: cut };
    let mut rows = recording.rows(&[Kind::Sql], 1000).unwrap();
    assert!(rows.any(|row| row.is_err()));
    assert!(rows.next().is_none());
}

#[test]
fn a_row_without_a_kind_is_of_the_one_whose_fields_it_has() {
    let text = r#"{"qname": "a.example"}
{"src_ip": "192.0.2.1", "dst_ip": "192.0.2.2"}
{"ts": 1, "body": {"qname": "b.example"}}
{"kind": "flow", "body": {"qname": "c.example"}}
"#;
    let bytes = text.as_bytes().to_vec().into();
    let recording = Recording::Built { name: "built".to_owned(), bytes };
    let rows = recording.rows(&[Kind::Flow, Kind::Dns], 1000).unwrap();
    let kinds: Vec<Kind> = rows.map(|row| row.unwrap().unwrap().kind).collect();
    assert_eq!(kinds, [Kind::Dns, Kind::Flow, Kind::Dns, Kind::Flow]);
}
