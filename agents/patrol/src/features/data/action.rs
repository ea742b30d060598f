//! What an action does to data, from the words that databases and clouds use for it.

/// Classes of actions; the order is that of the one-hot features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Reads rows or objects one by one: select, GetObject, Decrypt.
    Read,
    /// Makes a second copy: COPY … TO, INSERT … SELECT, CopyObject.
    Copy,
    /// Carries data out in bulk: dump, backup, export, snapshot sharing, removable media.
    Export,
    /// Looks at what there is: list, describe, head.
    List,
    /// Adds or changes data.
    Write,
    /// Removes data.
    Delete,
    /// Changes rights, structure or configuration.
    Admin,
    /// Begins a session or takes a role.
    Login,
    /// None of these.
    Other,
}

/// Number of classes.
pub const CLASSES: usize = 9;

impl Class {
    /// Whether the action moves data in bulk rather than reading it.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::Copy | Self::Export)
    }

    /// Whether rows and bytes of the action count as data that the user obtained.
    #[must_use]
    pub fn obtains(self) -> bool {
        matches!(self, Self::Read | Self::Copy | Self::Export | Self::List)
    }
}

/// Words that decide wherever they stand in an action, in order of precedence.
const ANYWHERE: [(&[u8], Class); 30] = [
    (b"copyfrom", Class::Write),
    (b"copyin", Class::Write),
    (b"restore", Class::Write),
    (b"import", Class::Write),
    (b"dump", Class::Export),
    (b"backup", Class::Export),
    (b"export", Class::Export),
    (b"unload", Class::Export),
    (b"outfile", Class::Export),
    (b"snapshotattribute", Class::Export),
    (b"imageattribute", Class::Export),
    (b"createsnapshot", Class::Export),
    (b"removable", Class::Export),
    (b"insertselect", Class::Copy),
    (b"insertintoselect", Class::Copy),
    (b"createtableas", Class::Copy),
    (b"selectinto", Class::Copy),
    (b"copy", Class::Copy),
    (b"clone", Class::Copy),
    (b"replicat", Class::Copy),
    (b"login", Class::Login),
    (b"logon", Class::Login),
    (b"assumerole", Class::Login),
    (b"sessiontoken", Class::Login),
    (b"federationtoken", Class::Login),
    (b"policy", Class::Admin),
    (b"permission", Class::Admin),
    (b"accesskey", Class::Admin),
    (b"password", Class::Admin),
    (b"logging", Class::Admin),
];

/// Words with which an action begins.
const FIRST: [(&[u8], Class); 52] = [
    (b"select", Class::Read),
    (b"getcalleridentity", Class::List),
    (b"get", Class::Read),
    (b"batchget", Class::Read),
    (b"read", Class::Read),
    (b"fetch", Class::Read),
    (b"download", Class::Read),
    (b"view", Class::Read),
    (b"decrypt", Class::Read),
    (b"query", Class::Read),
    (b"scan", Class::Read),
    (b"open", Class::Read),
    (b"http", Class::Read),
    (b"with", Class::Read),
    (b"list", Class::List),
    (b"describe", Class::List),
    (b"head", Class::List),
    (b"show", Class::List),
    (b"lookup", Class::List),
    (b"search", Class::List),
    (b"explain", Class::List),
    (b"insert", Class::Write),
    (b"update", Class::Write),
    (b"put", Class::Write),
    (b"post", Class::Write),
    (b"write", Class::Write),
    (b"upload", Class::Write),
    (b"send", Class::Write),
    (b"email", Class::Write),
    (b"merge", Class::Write),
    (b"upsert", Class::Write),
    (b"delete", Class::Delete),
    (b"drop", Class::Delete),
    (b"truncate", Class::Delete),
    (b"remove", Class::Delete),
    (b"terminate", Class::Delete),
    (b"purge", Class::Delete),
    (b"create", Class::Admin),
    (b"alter", Class::Admin),
    (b"grant", Class::Admin),
    (b"revoke", Class::Admin),
    (b"attach", Class::Admin),
    (b"detach", Class::Admin),
    (b"modify", Class::Admin),
    (b"set", Class::Admin),
    (b"enable", Class::Admin),
    (b"disable", Class::Admin),
    (b"stop", Class::Admin),
    (b"start", Class::Admin),
    (b"run", Class::Admin),
    (b"connect", Class::Login),
    (b"auth", Class::Login),
];

/// Letters of an action that are looked at.
const LETTERS: usize = 64;

/// The letters of an action alone, in lower case.
struct Letters {
    buffer: [u8; LETTERS],
    length: usize,
}

impl Letters {
    fn of(action: &str) -> Self {
        let mut made = Self { buffer: [0; LETTERS], length: 0 };
        let letters = action.bytes().filter(u8::is_ascii_alphabetic);
        for (slot, letter) in made.buffer.iter_mut().zip(letters) {
            *slot = letter.to_ascii_lowercase();
            made.length += 1;
        }
        made
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    fn has(&self, word: &[u8]) -> bool {
        self.bytes().windows(word.len()).any(|window| window == word)
    }

    fn begins(&self, word: &[u8]) -> bool {
        self.bytes().starts_with(word)
    }
}

/// The class of an action: by its letters alone, in lower case, first 64 of them; where they say
/// nothing, by the last word of a name in dots or slashes: `storage.objects.get`.
#[must_use]
pub fn class(action: &str) -> Class {
    let whole = class_of(&Letters::of(action));
    if whole != Class::Other {
        return whole;
    }
    let mut words = action.rsplit(['.', '/', ':']);
    let last = words.next().unwrap_or_default();
    // Azure ends with the kind of the operation, after its name.
    let last =
        if last.eq_ignore_ascii_case("action") { words.next().unwrap_or(last) } else { last };
    if last.len() < action.len() { class_of(&Letters::of(last)) } else { whole }
}

fn class_of(letters: &Letters) -> Class {
    // Who looks at a setting or at a list of exports moves no data; a token lets somebody in.
    let reads = [&b"get"[..], b"list", b"describe", b"head"].iter().any(|w| letters.begins(w));
    let anywhere = ANYWHERE
        .iter()
        .find(|(word, class)| !(reads && *class != Class::Login) && letters.has(word));
    let first = || FIRST.iter().find(|(word, _)| letters.begins(word));
    anywhere.or_else(first).map_or(Class::Other, |(_, class)| *class)
}

/// Calls that read secrets, and how many each stands for: one that reads several, or the password
/// of a machine, for two.
const SECRETS: [(&[u8], f32); 6] = [
    (b"batchgetsecretvalue", 2.0),
    (b"getsecretvalue", 1.0),
    (b"getpassworddata", 2.0),
    (b"accesssecretversion", 1.0),
    (b"secretget", 1.0),
    (b"listkeysaction", 2.0),
];

/// Words of whoever makes, describes, turns or removes secrets, and may well read them.
const MANAGES: [&[u8]; 10] = [
    b"createsecret",
    b"putsecret",
    b"updatesecret",
    b"deletesecret",
    b"describesecret",
    b"rotatesecret",
    b"restoresecret",
    b"addsecretversion",
    b"secretset",
    b"secretdelete",
];

/// What an action does to secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Secrets {
    /// How many secrets it may have read.
    pub read: f32,
    /// It keeps them: makes, describes, turns, removes.
    pub kept: bool,
}

/// What an action does to secrets, from the words that clouds use for it.
#[must_use]
pub fn secrets(action: &str) -> Secrets {
    // Hardly any action is about secrets, and each is asked.
    let hint = |word: &str| {
        action.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    };
    if !(hint("secret") || hint("password") || hint("listkeys")) {
        return Secrets::default();
    }
    let letters = Letters::of(action);
    let read = SECRETS.iter().find(|(word, _)| letters.has(word)).map_or(0.0, |(_, read)| *read);
    let kept = read == 0.0 && MANAGES.iter().any(|word| letters.has(word));
    Secrets { read, kept }
}

/// Whether a resource's name says that it holds personal, payment or secret data.
#[must_use]
pub fn is_sensitive(resource: &str) -> bool {
    const WORDS: [&[u8]; 21] = [
        b"customer",
        b"payment",
        b"card",
        b"user",
        b"account",
        b"credential",
        b"password",
        b"secret",
        b"patient",
        b"salary",
        b"payroll",
        b"ssn",
        b"token",
        b"invoice",
        b"client",
        b"personal",
        b"employee",
        b"billing",
        b"member",
        b"private",
        b"pii",
    ];
    let bytes = resource.as_bytes();
    let bytes = bytes.get(..bytes.len().min(256)).unwrap_or_default();
    WORDS
        .iter()
        .any(|word| bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_databases_and_clouds_meet() {
        for (action, wanted) in [
            ("select", Class::Read),
            ("SELECT", Class::Read),
            ("copy", Class::Copy),
            ("COPY TO STDOUT", Class::Copy),
            ("copy_from", Class::Write),
            ("insert_select", Class::Copy),
            ("insert", Class::Write),
            ("pg_dump", Class::Export),
            ("backup", Class::Export),
            ("GetObject", Class::Read),
            ("GetBucketPolicy", Class::Read),
            ("PutBucketPolicy", Class::Admin),
            ("ListObjects", Class::List),
            ("DescribeInstances", Class::List),
            ("ModifySnapshotAttribute", Class::Export),
            ("DescribeDBSnapshots", Class::List),
            ("ConsoleLogin", Class::Login),
            ("AssumeRole", Class::Login),
            ("file_copy_removable", Class::Export),
            ("DELETE", Class::Delete),
            ("CreateUser", Class::Admin),
            ("GetBucketReplication", Class::Read),
            ("ListBackupJobs", Class::List),
            ("GetSessionToken", Class::Login),
            ("PutBucketReplication", Class::Copy),
            ("StartExportTask", Class::Export),
            ("storage.objects.get", Class::Read),
            ("storage.objects.list", Class::List),
            ("MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION", Class::List),
            ("usb_connect", Class::Other),
            ("", Class::Other),
            ("\u{1f4a5}", Class::Other),
        ] {
            assert_eq!(class(action), wanted, "{action}");
        }
    }

    #[test]
    fn secrets_are_read_in_several_clouds_and_kept_by_others() {
        let read = |action: &str| secrets(action).read;
        assert!((read("GetSecretValue") - 1.0).abs() < 1e-6);
        assert!((read("BatchGetSecretValue") - 2.0).abs() < 1e-6);
        let google = "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion";
        assert!((read(google) - 1.0).abs() < 1e-6);
        assert!(read("MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION") > 1.0);
        for keeps in ["CreateSecret", "PutSecretValue", "DescribeSecret"] {
            assert_eq!(secrets(keeps), Secrets { read: 0.0, kept: true }, "{keeps}");
        }
        assert_eq!(secrets("GetObject"), Secrets::default());
        assert_eq!(secrets("GetAccountPasswordPolicy"), Secrets::default());
    }

    #[test]
    fn sensitive_names_are_seen_in_any_case() {
        assert!(is_sensitive("public.Customers"));
        assert!(!is_sensitive("products"));
        assert!(!is_sensitive(""));
    }
}
