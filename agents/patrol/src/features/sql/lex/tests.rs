//! Behaviour of the lexer.

use super::*;

fn tokens(text: &str) -> Vec<u16> {
    Lexed::of(text.as_bytes(), Start::Plain).tokens().to_vec()
}

#[test]
fn names_values_and_lists_fold() {
    assert_eq!(tokens("select a.b from t"), tokens("SELECT x FROM customers"));
    assert_eq!(tokens("in (1,2,3)"), tokens("in (7, 8, 9, 10, 11)"));
    assert_eq!(tokens("one two three"), tokens("a much longer sentence of plain words"));
}

#[test]
fn comparing_constants_is_noticed() {
    let same = Lexed::of(b"1' or 'a'='a", Start::Inside(b'\''));
    assert_eq!(same.constants, 0);
    assert_eq!(Lexed::of(b"x or 17=17", Start::Plain).constants, 1);
    assert!(tokens("or 17=17").contains(&SAME));
    assert!(tokens("or 17=18").contains(&OTHER));
    assert!(!tokens("a = 17").contains(&OTHER));
    assert!(tokens("or a=a").contains(&SAME));
    assert!(!tokens("a.id = id").contains(&SAME));
    assert!(!tokens("id = id.x").contains(&SAME));
}

#[test]
fn apostrophes_are_not_strings() {
    for text in ["don't stop, it's fine", "Mr O'Brien's dog", "l'avion d'Alice", "we've"] {
        assert!(!Lexed::of(text.as_bytes(), Start::Plain).open_string, "{text}");
    }
    assert!(Lexed::of(b"x' or 1=1", Start::Plain).open_string);
    assert!(tokens("x'or'1'='1").contains(&STRING));
}

#[test]
fn versioned_comments_are_read_as_code() {
    let words = |text: &str| tokens(text).into_iter().filter(|c| *c >= WORD_BASE).count();
    assert_eq!(words("/*!50000UnIoN*/ /*!select*/ 1"), 2);
    assert_eq!(words("/* union select */ 1"), 0);
}
