//! Writes the windows that `api-watch` scores, for models that read characters: training compares
//! such a model with the shipped one on the very same stretches of text.
//!
//! `cargo run --release --example api_windows BODIES.jsonl`: for each body the number of its
//! windows (two bytes, little-endian), then each window's bytes, padded with zeros to 192.

use magsentinel_bus_schema::Fields;
use magsentinel_patrol::features::api::{Limits, Parts, WINDOW};
use std::{
    error::Error,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("name a file of bodies, one JSON object a line")?;
    let mut out = BufWriter::new(std::io::stdout());
    let limits = Limits { field_bytes_max: 65_536, parts_max: 512, rows_max: 64 };
    let mut parts = Parts::default();
    for line in BufReader::new(File::open(name)?).lines() {
        let body: Fields = Fields(serde_json::from_str(&line?)?);
        parts.read(&body, limits)?;
        out.write_all(&u16::try_from(parts.windows().len())?.to_le_bytes())?;
        for window in parts.windows() {
            let mut bytes = [0u8; WINDOW];
            let text = parts.part_of(*window).map_or(&b""[..], |part| part.text);
            bytes.iter_mut().zip(text).for_each(|(to, from)| *to = (*from).max(1));
            out.write_all(&bytes)?;
        }
    }
    out.flush()?;
    Ok(())
}
