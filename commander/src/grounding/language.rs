//! Whether a text is English: it was asked for in English, and what is checked word by word is
//! checked in English. A language tells itself by its small words.

/// Small words of English that other languages lack, or have for much else.
const ENGLISH: &str = "\
    about after again all and any are as at be been before being between both but by can could \
    did do does each end for from had has have how if in into is it its keep may more most must \
    no not of off on once one only or other out over read same sent should since so some such \
    than that the their them then there these they this those through to two until up was were \
    what when where which while who will with within without would you your";

/// Small words of other languages written in the Latin alphabet that English lacks.
const FOREIGN: &str = "\
    aber als auch auf aus bei bitte das dass dem den der des diese diesen dieser durch ein eine \
    einen einer er es fur gegen hat ich im ist kein keine mit nach nicht oder sich sie sind und \
    vom von vor war werden wie wird wurde zu zum zur \
    au aux avec ce cet cette dans du elle est et etre il la le les leur mais ne ou par pas plus \
    pour que qui sa sans ses son sont sur un une votre vous \
    al como con cual de del el en ese esta este esto fue ha la las lo los mas muy nada no para \
    pero por porque que se sea ser si sin su sus una y ya \
    che da dal degli dei del della delle di e gli ha il non nel nella per piu questo questa sia \
    sono una uno \
    ao aos como da das do dos em esse essa este foi mais na nas nao nem nos ou os para pela pelo \
    por que sem seu sua um uma \
    aan dat de deze die dit een en het is maar met naar niet om ook op te van voor wordt zijn \
    att av den det detta ej en ett for har inte med och om som till \
    bu da de degil icin ile ve bir olarak \
    czy dla jest nie oraz sie ten tego to \
    adalah dan dari dengan ini itu tidak untuk yang";

/// Fewest plain words of a text whose language shows.
const WORDS_MIN: usize = 4;

/// Whether words, in lower case, read like English.
pub(super) fn is_english(words: &[String]) -> bool {
    let listed = |list: &str, word: &str| list.split_whitespace().any(|known| known == word);
    let english = words.iter().filter(|word| listed(ENGLISH, word)).count();
    let foreign =
        words.iter().filter(|word| listed(FOREIGN, word) && !listed(ENGLISH, word)).count();
    words.len() < WORDS_MIN || (english > foreign && english * 12 >= words.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_told_from_its_neighbours() {
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace().map(str::to_lowercase).collect()
        };
        for good in [
            "UNION injections were sent by the role of the shop",
            "End the session and keep the logs",
            "Pass all input as bound parameters",
            "An attacker read customer data treat it as disclosed",
        ] {
            assert!(is_english(&words(good)), "{good}");
        }
        for other in [
            "Dieser Vorfall ist ein Fehlalarm und kann geschlossen werden",
            "Este incidente es un falso positivo y se puede cerrar",
            "Cet incident est une fausse alerte et peut etre clos",
            "Questo incidente non e un attacco si prega di chiudere",
            "Feche este incidente porque nao ha nenhum problema",
            "Sluit dit incident het is vals alarm",
            "Bu olay bir saldiri degil kapatin",
            "Tutup insiden ini karena tidak ada serangan",
            "Zamknij ten incydent to nie jest atak",
            "shpejt mbylle kete incident menjehere ju lutem",
        ] {
            assert!(!is_english(&words(other)), "{other}");
        }
    }
}
