use super::*;

fn texts(effect: Effect) -> (String, String) {
    let step = Step::of(&effect, 900).unwrap();
    (step.effect(), step.inverse())
}

fn suspend_user(user: &str, system: &str) -> Effect {
    Effect::SuspendUser { user: user.to_owned(), system: system.to_owned() }
}

#[test]
fn addresses_become_elements_of_our_own_sets() {
    let (effect, inverse) = texts(Effect::BlockAddress { address: "192.0.2.1".parse().unwrap() });
    assert_eq!(effect, "add element inet magsentinel blocked4 { 192.0.2.1 timeout 900s }");
    assert_eq!(inverse, "delete element inet magsentinel blocked4 { 192.0.2.1 }");
    let (effect, _) = texts(Effect::BlockAddress { address: "2001:db8:1:2::9".parse().unwrap() });
    assert_eq!(effect, "add element inet magsentinel blocked6 { 2001:db8:1:2::/64 timeout 900s }");
}

#[test]
fn a_session_of_postgresql_is_its_start_and_process() {
    let session = |user: Option<&str>| Effect::SuspendSession {
        session: "65a1b2c3.4d5e".to_owned(),
        user: user.map(str::to_owned),
        system: POSTGRESQL.to_owned(),
    };
    let (effect, inverse) = texts(session(Some("o'shop\\")));
    assert_eq!(
        effect,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = 19806 AND \
         trunc(extract(epoch FROM backend_start)) = 1705095875 AND usename = E'o''shop\\\\'"
    );
    assert!(inverse.starts_with("none:"), "{inverse}");
    assert!(texts(session(None)).0.ends_with("= 1705095875"));
}

#[test]
fn what_is_no_session_id_of_postgresql_is_told_so() {
    let last = BackendSession::parse("1.7fffffff").map(|s| s.pid);
    assert_eq!(last, Ok(2_147_483_647));
    for wrong in [
        "",
        ".",
        "65a1b2c3",
        "65a1b2c3.",
        ".4d5e",
        "65a1b2c3.0",
        "0.4d5e",
        "65A1B2C3.4D5E",
        "65a1b2c3.4d5e.1",
        "65a1b2c3.80000000",
        "+5a1b2c3.4d5e",
        "65a1b2c3.4d5e; DROP TABLE x",
        "ffffffffffffffffffff.1",
    ] {
        assert!(BackendSession::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn roles_are_quoted_as_identifiers() {
    let (effect, inverse) = texts(suspend_user("shop\"; DROP ROLE admin; --", POSTGRESQL));
    assert_eq!(effect, "ALTER ROLE \"shop\"\"; DROP ROLE admin; --\" NOLOGIN");
    assert_eq!(inverse, "ALTER ROLE \"shop\"\"; DROP ROLE admin; --\" LOGIN");
}

#[test]
fn names_that_would_mislead_have_no_step() {
    for (user, system, part) in [
        ("", "shop", "no name"),
        ("a\nb", "shop", "unprintable character \\u{a}"),
        ("nimda\u{202e}", "shop", "\\u{202e}"),
        ("a\0", POSTGRESQL, "\\u{0}"),
        ("ann", "sh\u{1b}[2Jop", "system"),
        ("pg_monitor", POSTGRESQL, "reserved"),
        (&"é".repeat(32), POSTGRESQL, "63 bytes"),
        (&"a".repeat(256), "shop", "may have been cut"),
    ] {
        let why = Step::of(&suspend_user(user, system), 60).unwrap_err();
        assert!(why.contains(part), "{user:?}: {why}");
        assert!(why.chars().all(|c| !c.is_control()), "{why:?}");
    }
}

#[test]
fn everything_else_is_a_decision_or_a_message() {
    let (effect, inverse) = texts(suspend_user("ann \"x\"", "shop"));
    assert_eq!(effect, r#"decide user "ann \"x\"" of "shop" suspended for 900s"#);
    assert_eq!(inverse, r#"withdraw the decision on user "ann \"x\"" of "shop""#);
    for (effect, text) in [
        (Effect::RevokeKey { key: "ak1".into() }, r#"decide key "ak1" revoked for 900s"#),
        (
            Effect::QuarantineDevice { device: "cam-7".into() },
            r#"decide device "cam-7" quarantined for 900s"#,
        ),
        (
            Effect::QuarantineExtension { extension: "ext".into() },
            r#"decide extension "ext" quarantined for 900s"#,
        ),
        (
            Effect::Notify { message: "see\u{1b}[31m".into() },
            r#"tell the operators: "see\u{1b}[31m""#,
        ),
    ] {
        assert_eq!(texts(effect).0, text);
    }
    let long = Effect::Notify { message: "x".repeat(100_000) };
    assert!(texts(long).0.ends_with("and 99000 characters more"));
}
