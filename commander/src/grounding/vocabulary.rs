//! Words that are language and nobody's name: those of the playbook's templates, of our instructions
//! and of the lists that the check has anyway.
//!
//! A name need not look like one: `victor` is a user. So a word that only the free text of the
//! evidence holds, and that is none of these, is taken for a name that nobody observed.

use super::lists::{ACTING, NAMERS, ORDINARY, TRADE, UNDOING, UNDONE};
use std::{collections::HashSet, sync::OnceLock};

/// Words of the trade and of plain English that templates lack.
const MORE: &str = "\
    able access accessed account accounts across action actions activity address addresses admin \
    again against allowed also always another answer answers any api application around arrived \
    asked attack attacker attackers attacks attempt attempts attention auth authentication away \
    back backup based because been began begin begins behaviour behind bound bulk came can carried \
    cause caused change changed check checked client clients code column columns coming command \
    common condition confirm connection contact containing contains content control copied copy \
    could credential credentials customer customers data database day days deny detail details \
    device devices different disclosed does done down download dump during each early email \
    endpoint entry error errors evidence evident exfiltration expected exploit exposed external \
    failed field file files filter find first flow follow followed following forged form found \
    further gain gained gave give given goes group happened header headers help here high host \
    hosts hour hours however identity image important include included incident indicate \
    information injected injection input inside instead internal into involved issue item items \
    join joined keep kept key keys kind known large last later leak led left less level limit line \
    link list listed log logged login logins logs long look looked lookup made mail main make many \
    matched may means message method might minute minutes more most moved much multiple must name \
    named names near need needs network new next none normal not note now number numbers observed \
    occurred often once one only open operator order orders other others out over owner page part \
    party password passwords path pattern patterns payload people period person phase place \
    possible post prevent prior probably probe process product products program protect provide \
    public put query queries quickly quite rate reach reached read reading reads reason record \
    recorded records remote repeated report reported request requests reset resource response \
    result results return returned review rights risk role roles rotate row rows rule run same \
    sample saw scan schema search second seconds secret secrets security see seems seen select \
    sensitive sensor sensors sent sequence server service services session sessions set several \
    shop should show shown shows side sign similar since single site small some something source \
    specific staff start started state statement statements step steps still stolen stored such \
    suggests support suspect system systems table tables take taken target team technique test \
    text than that their them then there these thing things third this those though through time \
    times today together token tokens tool total toward traffic treat tried true two type typed \
    under union unique unknown unusual update upload use used user users uses using usual usually \
    value values various very via victim view volume want was way ways web week well went were what \
    when where whether which while who whole why will window with within without word words work \
    works would write writes written wrote year yet";

/// Whether a word, in lower case, is language.
pub(super) fn is_language(word: &str) -> bool {
    static WORDS: OnceLock<HashSet<String>> = OnceLock::new();
    WORDS.get_or_init(words).contains(word)
}

fn words() -> HashSet<String> {
    let lists = [MORE, ACTING, NAMERS, ORDINARY, TRADE, UNDOING, UNDONE, crate::briefing::SYSTEM];
    let templates = crate::playbook::TEMPLATES.iter().map(|(_, text)| *text);
    let all = lists.into_iter().chain(templates);
    let split = |text: &'static str| text.split(|c: char| !c.is_alphabetic());
    all.flat_map(split).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::is_language;

    #[test]
    fn words_of_the_templates_are_language_and_names_are_not() {
        for word in ["remediation", "treat", "disclosed", "the", "session"] {
            assert!(is_language(word), "{word}");
        }
        for name in ["victor", "mallory", "kumquat", "payroll"] {
            assert!(!is_language(name), "{name}");
        }
    }
}
