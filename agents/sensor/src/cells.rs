//! One CSV record (RFC 4180) to its cells.

/// Splits a record, which may end in a newline. The error says what is wrong with its quotes.
pub(crate) fn cells(record: &str) -> Result<Vec<String>, String> {
    let mut rest = record.strip_suffix('\n').unwrap_or(record);
    rest = rest.strip_suffix('\r').unwrap_or(rest);
    let mut cells = Vec::with_capacity(32);
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)
                .ok_or_else(|| format!("quote of column {} does not close", cells.len() + 1))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (cell, after) = rest.split_at(end);
                (cell.to_owned(), after)
            }
        };
        cells.push(cell);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(cells),
            None => return Err(format!("text follows the quotes of column {}", cells.len())),
        }
    }
}

/// The cell up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None => return Some((cell, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cells;

    #[test]
    fn quotes_commas_and_newlines_are_read() {
        let found = cells("a,,\"b,\"\"c\"\"\nd\",\"\",e f\r\n").unwrap();
        assert_eq!(found, ["a", "", "b,\"c\"\nd", "", "e f"]);
        assert_eq!(cells("").unwrap(), [""]);
        assert_eq!(cells("a,").unwrap(), ["a", ""]);
    }

    #[test]
    fn quotes_that_do_not_add_up_are_errors() {
        for bad in ["\"a", "a,\"b\"\"", "\"a\"b,c"] {
            assert!(cells(bad).is_err(), "{bad}");
        }
    }
}
