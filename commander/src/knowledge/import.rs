//! From files to knowledge: all of them, or nothing.

use super::{Error, Exploited, Object, attack::Attack, kev};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{fs::File, io::Read, path::Path};

/// Most bytes of one file, unpacked. ATT&CK's enterprise bundle has about 50 MB.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How a gzip file begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name, without folders.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// What it holds: `attack`, `exploited`.
    pub holds: String,
}

/// What files hold, until all are read.
#[derive(Debug, Default)]
pub struct Gathered {
    attack: Attack,
    exploited: Option<Vec<Exploited>>,
    sources: Vec<Source>,
}

/// What will be kept.
#[derive(Debug)]
pub struct Parts {
    /// All objects of ATT&CK; none leaves those that are kept as they are.
    pub attack: Option<Vec<Object>>,
    /// All known exploited vulnerabilities; none leaves those that are kept as they are.
    pub exploited: Option<Vec<Exploited>>,
    /// Where they come from.
    pub sources: Vec<Source>,
    /// What is told of the import.
    pub told: Told,
}

/// What an import did, for its operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Objects of ATT&CK that were imported.
    pub objects: usize,
    /// Techniques among them.
    pub techniques: usize,
    /// Techniques among these that some mitigation helps against.
    pub mitigated: usize,
    /// Version of ATT&CK, where its bundle tells it.
    pub version: Option<String>,
    /// Objects that were left out because they were revoked or are deprecated.
    pub revoked: usize,
    /// Objects that were left out because they carry no ATT&CK id.
    pub others: usize,
    /// Mitigating relationships that were left out because an end of them is not there.
    pub loose: usize,
    /// Known exploited vulnerabilities that were imported.
    pub exploited: usize,
}

/// What a line of a file of lines is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Object,
    Relation,
    Exploited,
}

impl Line {
    fn of(value: &Value) -> Option<Self> {
        let has = |key: &str| value.get(key).is_some();
        match () {
            () if has("attack_id") => Some(Self::Object),
            () if has("src") && has("rel") && has("dst") => Some(Self::Relation),
            () if has("cveID") => Some(Self::Exploited),
            () => None,
        }
    }
}

impl Gathered {
    /// Reads a file: a STIX bundle, a KEV catalogue, or curated JSON lines; gzip or not.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or is none of these.
    pub fn read(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        let digest = Sha256::digest(&bytes);
        if bytes.starts_with(GZIP) {
            let packed = std::mem::take(&mut bytes);
            let unpacked = flate2::read::MultiGzDecoder::new(packed.as_slice());
            unpacked.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::TooLarge { file: name, max: FILE_BYTES_MAX });
        }
        let bad = |why| Error::Bad { file: name.clone(), why };
        let holds = self.take(&bytes).map_err(bad)?.to_owned();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sources.push(Source { file: name, sha256, holds });
        Ok(())
    }

    /// Takes in the bytes of a file, and tells what they hold. Pure.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn take(&mut self, bytes: &[u8]) -> Result<&'static str, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| format!("is no UTF-8 text from byte {} on", e.valid_up_to()))?;
        let first = text.lines().find(|line| !line.trim().is_empty());
        let first = first.ok_or("is empty")?;
        if serde_json::from_str(first).is_ok_and(|value: Value| Line::of(&value).is_some()) {
            return self.take_lines(text);
        }
        let document: Value =
            serde_json::from_str(text).map_err(|e| format!("is broken or cut JSON: {e}"))?;
        if document.get("type").and_then(Value::as_str) == Some("bundle") {
            self.attack.take_bundle(document)?;
            return Ok("attack");
        }
        if document.get("vulnerabilities").is_some() {
            let entries = kev::catalogue(document)?;
            self.exploited.get_or_insert_default().extend(entries);
            return Ok("exploited");
        }
        Err("is neither a STIX bundle, nor a KEV catalogue, nor lines of either".to_owned())
    }

    fn take_lines(&mut self, text: &str) -> Result<&'static str, String> {
        let mut holds = "attack";
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let at = |why: String| format!("line {number}: {why}");
            let value: Value = serde_json::from_str(line)
                .map_err(|e| at(format!("is broken or cut JSON: {e}")))?;
            match Line::of(&value) {
                Some(Line::Object) => self.attack.take_object(value).map_err(at)?,
                Some(Line::Relation) => self.attack.take_relation(value).map_err(at)?,
                Some(Line::Exploited) => {
                    let entry = kev::entry(value).map_err(at)?;
                    self.exploited.get_or_insert_default().push(entry);
                    holds = "exploited";
                }
                None => return Err(at("is no object, relationship or vulnerability".to_owned())),
            }
        }
        Ok(holds)
    }

    /// All of it, checked together.
    ///
    /// # Errors
    /// When what was read of ATT&CK holds no technique.
    pub fn finish(self) -> Result<Parts, Error> {
        let files: Vec<&str> = self.sources.iter().map(|source| source.file.as_str()).collect();
        let files = files.join(", ");
        let mut told = Told {
            version: self.attack.version.clone(),
            revoked: self.attack.revoked,
            others: self.attack.others,
            exploited: self.exploited.as_ref().map_or(0, Vec::len),
            ..Told::default()
        };
        let read_some = self.sources.iter().any(|source| source.holds == "attack");
        let attack = if read_some || !self.attack.is_empty() {
            let finished = self.attack.finish();
            let (objects, loose) = finished.map_err(|why| Error::Bad { file: files, why })?;
            let techniques = || objects.iter().filter(|object| object.kind == "attack-pattern");
            told.objects = objects.len();
            told.techniques = techniques().count();
            told.mitigated = techniques().filter(|object| !object.mitigations.is_empty()).count();
            told.loose = loose;
            Some(objects)
        } else {
            None
        };
        Ok(Parts { attack, exploited: self.exploited, sources: self.sources, told })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_nothing_of_all_that_is_told_with_its_place() {
        for (text, why) in [
            ("", "is empty"),
            ("\n \n", "is empty"),
            ("not JSON", "broken or cut JSON"),
            ("{\"type\": \"bundle\", \"objects\": [", "broken or cut JSON"),
            ("{\"type\": \"bundle\"}", "no list `objects`"),
            ("{\"type\": \"bundle\", \"objects\": [{\"type\": 1}]}", "objects[0]"),
            ("{\"type\": \"report\"}", "neither a STIX bundle"),
            ("{\"cveID\": \"CVE-1\"}", "line 1"),
            ("{\"src\":\"M1\",\"rel\":\"mitigates\",\"dst\":\"T1190\"}\n{\"src\":", "line 2"),
            ("{\"src\":\"M1\",\"rel\":\"mitigates\",\"dst\":\"T1190\"}\n{}", "line 2"),
        ] {
            let told = Gathered::default().take(text.as_bytes()).expect_err(why);
            assert!(told.contains(why), "{text}: {told}");
        }
        assert!(Gathered::default().take(b"\xff\xfe").expect_err("bytes").contains("UTF-8"));
    }

    #[test]
    fn a_packed_file_is_read_and_a_cut_one_told() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("kev.json.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"{\"count\":0,\"vulnerabilities\":[]}").expect("packed");
        let packed = packer.finish().expect("packed");
        std::fs::write(&path, &packed).expect("written");
        let mut gathered = Gathered::default();
        gathered.read(&path).expect("read");
        assert_eq!(gathered.finish().expect("parts").exploited, Some(Vec::new()));
        std::fs::write(&path, packed.get(..packed.len() - 9).expect("longer")).expect("written");
        assert!(matches!(Gathered::default().read(&path), Err(Error::Read { .. })));
        let missing = folder.path().join("none");
        assert!(Gathered::default().read(&missing).expect_err("none").to_string().contains("none"));
    }

    #[test]
    fn relationships_alone_are_no_attack() {
        let mut gathered = Gathered::default();
        let line = "{\"src\":\"M1\",\"rel\":\"mitigates\",\"dst\":\"T1190\"}";
        gathered.take(line.as_bytes()).expect("taken");
        let told = gathered.finish().expect_err("no technique").to_string();
        assert!(told.contains("together with their objects"), "{told}");
    }
}
