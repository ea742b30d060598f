//! The bytes that were published once, for ever.

use crate::examples::{Visit, each};
use magsentinel_bus_schema::{Limits, Message, decode, encode, encode_json, reference};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

/// Asked for at run time: the build may have happened in another checkout.
fn folder() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    Path::new(&package).join("tests/golden")
}

#[derive(Default)]
struct Compare {
    names: BTreeSet<String>,
    messages: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Visit for Compare {
    fn visit<T: Message + PartialEq + Debug>(&mut self, of: &str, name: &str, message: &T) {
        self.messages.insert(of.to_owned());
        let packed = encode(message).unwrap();
        let json = encode_json(message).unwrap();
        let encodings = [
            (format!("{name}.hex"), packed.clone(), to_hex(&packed)),
            (format!("{name}.json"), json.clone(), String::from_utf8(json).unwrap() + "\n"),
        ];
        for (file, bytes, text) in encodings {
            self.compare(&file, &bytes, &text, message);
            assert!(self.names.insert(file.clone()), "two examples are named {file}");
        }
    }
}

impl Compare {
    fn compare<T: Message + PartialEq + Debug>(
        &mut self,
        file: &str,
        bytes: &[u8],
        text: &str,
        message: &T,
    ) {
        let path = folder().join(file);
        if !path.exists() && std::env::var_os("MAGSENTINEL_WRITE_GOLDEN").is_some() {
            fs::write(&path, text).unwrap();
        }
        let Ok(golden) = fs::read_to_string(&path) else {
            self.wrong.push(format!("{file} is missing (see the README there)"));
            return;
        };
        let kept = if file.ends_with(".hex") {
            from_hex(&golden)
        } else {
            golden.trim_end().as_bytes().to_vec()
        };
        match decode::<T>(&kept, None, Limits::default()) {
            Ok(read) if read == *message => {}
            other => self.wrong.push(format!("{file} is read as {other:?}")),
        }
        if kept != bytes {
            self.wrong.push(format!("{file}: the same message is written with other bytes"));
        }
    }
}

/// 32 bytes a line.
fn to_hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn golden_bytes_are_read_and_written_as_ever() {
    let mut compare = Compare::default();
    each(&mut compare);
    assert!(compare.wrong.is_empty(), "{}", compare.wrong.join("\n"));
    // Every message of the reference has golden bytes, and every file is compared.
    let all: BTreeSet<_> = reference::messages().iter().map(|(n, _)| (*n).to_owned()).collect();
    assert_eq!(compare.messages, all);
    let files = fs::read_dir(folder()).unwrap().map(|f| f.unwrap().file_name());
    let files: BTreeSet<_> = files.map(|name| name.into_string().unwrap()).collect();
    compare.names.insert("README.md".to_owned());
    assert_eq!(files, compare.names);
}
