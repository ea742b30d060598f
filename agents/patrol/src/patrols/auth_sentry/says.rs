//! A row of features, asked what it looks like and why.

use crate::{
    features::auth,
    patrol::{ModelSays, Sign},
};
use magsentinel_bus_schema::{Class, Level};

/// Where a feature stands in a row; a name that does not exist does not compile.
macro_rules! at {
    (address $name:literal) => {
        const { auth::address_feature($name) }
    };
    (user $name:literal) => {
        const { auth::user_feature($name) }
    };
}

const SPRAYING: &[&str] = &["T1110.003"];
const STUFFING: &[&str] = &["T1110.004"];
const STUFFED: &[&str] = &["T1110.004", "T1078"];
const GUESSING: &[&str] = &["T1110.001"];
const GUESSED: &[&str] = &["T1110.001", "T1078"];
const VALID: &[&str] = &["T1078"];
const AUTOMATED: &[&str] = &["T1078", "T1110"];

/// Accounts of one address, or addresses of one account, from which it is many.
const MANY: f32 = 4.0;

/// Failures of strangers within a day that make the first login from new surroundings a takeover:
/// three, of which the first have faded a little.
const STRANGERS: f32 = 2.6;

/// Failures of strangers within a day of which the latest, from a network and a device new to a known
/// account, says guessing: five within hours, of which the first have faded.
const GUESSES: f32 = 4.2;

/// Failures within a minute, fading by half in another, that the first five in a row amount to where
/// they come within half a minute: faster than anybody types, and than clients retry.
const BURST: f32 = 4.2;
/// Between these numbers of failures in a row a burst is one that began with them.
const BURST_ROW: std::ops::Range<f32> = 4.5..6.5;

/// Refusals within a day that said expired, from which the failures beside them are the owner's:
/// only the right password is told so.
const EXPIRED: f32 = 0.3;
/// Accounts tried from an address, as a sketch counts them, below which it is one.
const ONE_ACCOUNT: f32 = 1.6;

/// What is unusual in a row.
pub(super) struct StandsOut<'a> {
    by_user: bool,
    row: &'a [f32],
}

impl<'a> StandsOut<'a> {
    pub(super) fn new(class: Class, row: &'a [f32]) -> Self {
        Self { by_user: class == Class::User, row }
    }

    fn value(&self, at: usize) -> f32 {
        self.row.get(at).copied().unwrap_or(0.0)
    }

    /// The number behind a feature that is a logarithm.
    fn count(&self, at: usize) -> f32 {
        self.value(at).exp_m1()
    }

    fn is(&self, at: usize) -> bool {
        self.value(at) > 0.5
    }

    /// The model's score of what this event itself did. An account that its address let in before
    /// is not to blame for those who guess beside it: their own rows carry the finding. Nor is an
    /// address to blame that tried one account only, and had its right password, though expired.
    pub(super) fn of_the_attacker(&self, score: f32, medium: f32) -> f32 {
        if !self.by_user && (self.is_let_in_again() || self.is_owner_refused()) {
            score.min((medium - 0.01).max(0.0))
        } else {
            score
        }
    }

    fn is_let_in_again(&self) -> bool {
        self.is(at!(address "let in: account was let in here before"))
    }

    fn is_owner_refused(&self) -> bool {
        self.is(at!(address "failure"))
            && self.count(at!(address "refusals that said expired, day (ln)")) >= EXPIRED
            && self.count(at!(address "accounts refused in the last day (ln)")) < ONE_ACCOUNT
    }

    /// What counts say without the model.
    pub(super) fn sign(&self) -> Option<Sign> {
        if self.by_user { self.sign_of_user() } else { self.sign_of_address() }
    }

    fn sign_of_address(&self) -> Option<Sign> {
        if !self.is(at!(address "counts say guessing")) {
            return None;
        }
        let failures = self.count(at!(address "failures of accounts never let in here, day (ln)"));
        let (category, techniques) = self.category_of_address();
        let reason = format!(
            "{failures:.0} failures in a day of accounts never let in from this address, \
             remarkable from 4 on; nobody ever was"
        );
        Some(Sign { level: Level::Medium, category, techniques, reason })
    }

    /// A known account that somebody else guesses at or, having guessed, opens, unless the right
    /// password was typed on the same day and had expired. `training/train_auth.py` counts it alike.
    fn sign_of_user(&self) -> Option<Sign> {
        if self.count(at!(user "refusals that said expired, day (ln)")) >= EXPIRED {
            return None;
        }
        if self.is(at!(user "success")) {
            return self.sign_of_takeover();
        }
        self.sign_of_strangers().or_else(|| self.sign_of_burst())
    }

    /// The account opens to a network and a device that both are new, after failures of strangers.
    fn sign_of_takeover(&self) -> Option<Sign> {
        let strangers = self.count(at!(user "failures of strangers, day (ln)"));
        let new = self.value(at!(user "network and device are new, once known")) > 0.99;
        (new && strangers >= STRANGERS).then(|| Sign {
            level: Level::Medium,
            category: "account_takeover",
            techniques: GUESSED,
            reason: format!(
                "let in from a network and a device new to this account within a day of \
                 {strangers:.0} failures of strangers, remarkable from 3 on"
            ),
        })
    }

    /// A failure at a known account from a network new to it, by a device that is new too or not told.
    /// A connection that the server gives up on is one from the second on: an owner's client with many
    /// keys brings that about once.
    fn sign_of_strangers(&self) -> Option<Sign> {
        let given_up = self.is(at!(user "given up by the server"))
            && self.count(at!(user "given up in the last hour (ln)")) > 1.5;
        let failed = self.is(at!(user "failure")) || given_up;
        let device = !self.is(at!(user "device is known")) || self.is(at!(user "device is new"));
        let new = device && self.value(at!(user "network is new, once known")) > 0.99;
        let strangers = self.count(at!(user "failures of strangers, day (ln)"));
        (failed && new && strangers >= GUESSES).then(|| Sign {
            level: Level::Medium,
            category: "brute_force",
            techniques: GUESSING,
            reason: format!(
                "refused from surroundings new to this account, within a day of {strangers:.0} \
                 failures of strangers, remarkable from 5 on"
            ),
        })
    }

    /// A device new to a known account, wherever it is, fails faster than anybody types.
    fn sign_of_burst(&self) -> Option<Sign> {
        let burst = self.is(at!(user "failure"))
            && self.value(at!(user "device is new, once known")) > 0.99
            && BURST_ROW.contains(&self.count(at!(user "failures in a row (ln)")))
            && self.count(at!(user "failures in the last minute (ln)")) >= BURST;
        burst.then(|| Sign {
            level: Level::Medium,
            category: "brute_force",
            techniques: GUESSING,
            reason: "five failures within half a minute by a device new to this account".to_owned(),
        })
    }

    /// What the model recognises, in words.
    pub(super) fn says(&self) -> ModelSays<'static> {
        let (category, techniques) =
            if self.by_user { self.category_of_user() } else { self.category_of_address() };
        let what = match category {
            "brute_force" => "guessing of passwords",
            "password_spraying" => "password spraying",
            "credential_stuffing" => "credential stuffing",
            "account_takeover" => "takeover of an account",
            "impossible_travel" => "impossible travel",
            "automated_login" => "automated logins",
            _ => "unusual login",
        };
        ModelSays { category, techniques, what }
    }

    fn category_of_address(&self) -> (&'static str, &'static [&'static str]) {
        let hour = self.count(at!(address "accounts refused in the last hour (ln)"));
        let accounts = hour.max(self.count(at!(address "accounts refused in the last day (ln)")));
        let failures = self.count(at!(address "failures in the last day (ln)"));
        let newly = self.count(at!(address "accounts new here let in, hour (ln)"));
        let unknown = self.value(at!(address "share of accounts that do not exist, hour"));
        let regular = self.value(at!(address "regularity"));
        let scripted = self.is(at!(address "agent is scripted"));
        let many = accounts >= MANY;
        let few_each = failures <= accounts * 2.5 + 1.0;
        let guessed = self.is(at!(address "let in: account is new here"))
            && self.count(at!(address "failures of accounts never let in here, hour (ln)")) >= 2.0;
        if many && few_each && newly > 0.5 {
            ("credential_stuffing", STUFFED)
        } else if guessed {
            ("account_takeover", GUESSED)
        } else if many && few_each && (unknown > 0.3 && scripted) {
            ("credential_stuffing", STUFFING)
        } else if many && few_each {
            ("password_spraying", SPRAYING)
        } else if failures < 2.0 && (regular > 0.2 || scripted) {
            ("automated_login", AUTOMATED)
        } else if failures >= 0.5 {
            ("brute_force", GUESSING)
        } else {
            ("unusual_login", VALID)
        }
    }

    fn category_of_user(&self) -> (&'static str, &'static [&'static str]) {
        let addresses = self.count(at!(user "addresses refused in the last day (ln)"));
        let strangers = self.count(at!(user "failures of strangers, day (ln)"));
        let regular = self.value(at!(user "regularity"));
        let scripted = self.value(at!(user "scripted agent, against the usual share"));
        let success = self.is(at!(user "success"));
        if success && self.is(at!(user "network is new")) && strangers >= 1.5 {
            ("account_takeover", GUESSED)
        } else if self.is(at!(user "faster than any aeroplane")) {
            ("impossible_travel", VALID)
        } else if addresses >= MANY && !success {
            ("password_spraying", SPRAYING)
        } else if regular > 0.25 || scripted > 0.4 {
            ("automated_login", AUTOMATED)
        } else if !success {
            ("brute_force", GUESSING)
        } else if self.is(at!(user "network and device are new, once known")) {
            ("account_takeover", VALID)
        } else {
            ("unusual_login", VALID)
        }
    }

    /// Which counter stands against which baseline.
    pub(super) fn reasons(&self, reasons: &mut Vec<String>) {
        if self.by_user { self.reasons_of_user(reasons) } else { self.reasons_of_address(reasons) }
    }

    fn reasons_of_address(&self, reasons: &mut Vec<String>) {
        let failures = self.count(at!(address "failures in the last day (ln)"));
        let successes = self.count(at!(address "successes in the last day (ln)"));
        let accounts = self.count(at!(address "accounts refused in the last day (ln)"));
        let known = self.count(at!(address "accounts let in for weeks (ln)"));
        if failures >= 1.5 {
            reasons.push(format!(
                "{failures:.0} failures of this address in a day, {successes:.0} successes"
            ));
        }
        if accounts >= MANY {
            reasons.push(format!(
                "about {accounts:.0} accounts tried from this address in a day, {known:.0} known"
            ));
        }
        let usual =
            self.value(at!(address "failures of the hour against the usual hour (ln ratio)"));
        if usual > 1.5 {
            let times = usual.exp();
            reasons.push(format!("{times:.0} times the failures of this address's usual hour"));
        }
        let unknown = self.count(at!(address "accounts that do not exist, hour (ln)"));
        if unknown >= 1.5 {
            reasons.push(format!("{unknown:.0} tries at accounts that do not exist in an hour"));
        }
        let default = self.count(at!(address "default names, hour (ln)"));
        if default >= 1.5 {
            reasons.push(format!("{default:.0} tries at default accounts in an hour"));
        }
        self.reasons_of_beat(
            at!(address "regularity"),
            at!(address "beat (ln seconds)"),
            reasons,
        );
        for (at, reason) in [
            (at!(address "let in after the account was refused here"), "let in after it was refused"),
            (at!(address "let in: account is new here"), "an account that is new to this address"),
            (at!(address "agent is scripted"), "the client is a script by its own words"),
        ] {
            if self.is(at) {
                reasons.push(reason.to_owned());
            }
        }
    }

    fn reasons_of_user(&self, reasons: &mut Vec<String>) {
        let strangers = self.count(at!(user "failures of strangers, day (ln)"));
        let addresses = self.count(at!(user "addresses refused in the last day (ln)"));
        let known = self.count(at!(user "addresses let in for weeks (ln)"));
        if strangers >= 1.5 {
            reasons.push(format!(
                "{strangers:.0} failures from addresses unknown to this account in a day"
            ));
        }
        if addresses >= MANY {
            reasons.push(format!(
                "about {addresses:.0} addresses after this account in a day, {known:.0} known"
            ));
        }
        if self.is(at!(user "faster than any aeroplane")) {
            let km = self.count(at!(user "kilometres since the last success (ln)"));
            let kmh = self.count(at!(user "kilometres an hour since the last success (ln)"));
            let before = self.count(at!(user "impossible journeys in weeks (ln)"));
            reasons.push(format!(
                "{km:.0} km since the last success, {kmh:.0} km/h; {before:.0} such before"
            ));
        }
        self.reasons_of_beat(
            at!(user "regularity"),
            at!(user "beat (ln seconds)"),
            reasons,
        );
        for (at, least, reason) in [
            (at!(user "network is new"), 0.5, "network is new to this account"),
            (at!(user "device is new"), 0.5, "device is new to this account"),
            (at!(user "country is new"), 0.5, "country is new to this account"),
            (at!(user "host is new"), 0.5, "host is new to this account"),
            (
                at!(user "scripted agent, against the usual share"),
                0.4,
                "a script, which this account hardly ever uses",
            ),
            (
                at!(user "rarity of the hour, once known"),
                2.5,
                "an unusual hour for this account",
            ),
        ] {
            if self.value(at) > least {
                reasons.push(reason.to_owned());
            }
        }
    }

    fn reasons_of_beat(&self, regular: usize, beat: usize, reasons: &mut Vec<String>) {
        if self.value(regular) > 0.25 {
            let every = self.count(beat);
            reasons.push(format!("an even beat, every {every:.0} seconds"));
        }
    }
}
