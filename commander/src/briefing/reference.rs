//! What is known beyond the evidence, for a prompt: one JSON object a line.

use crate::{
    knowledge::{Exploited, Known, Past, Technique, audit::Entry},
    untrusted::quoted,
};

const NAME_CHARS: usize = 160;
const TEXT_CHARS: usize = 400;

/// The lines that fit into `budget` bytes: what was decided and done before, the newest first, then
/// vulnerabilities, techniques, and incidents of the past; and what was left out, for a reader. What
/// was done before takes at most half.
pub(super) fn text(known: &Known, budget: usize) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut left_out = known.left_out.clone();
    let sorts: [(&str, Vec<String>); 4] = [
        ("entries of the logbook", known.audit.iter().rev().map(before).collect()),
        ("known exploited vulnerabilities", known.exploited.iter().map(exploited).collect()),
        ("techniques", known.techniques.iter().map(technique).collect()),
        ("incidents of the past", known.past.iter().map(past).collect()),
    ];
    for (at, (sort, lines)) in sorts.into_iter().enumerate() {
        let all = lines.len();
        let room = if at == 0 { budget / 2 } else { budget };
        let mut left = 0;
        for line in lines {
            if text.len() + line.len() <= room {
                text.push_str(&line);
            } else {
                left += 1;
            }
        }
        if left > 0 {
            left_out.push(format!("{left} of {all} {sort} did not fit into the prompt"));
        }
    }
    (text, left_out)
}

fn before(e: &Entry) -> String {
    let quote = if e.quote.is_empty() {
        String::new()
    } else {
        format!(",\"words\":{}", quoted(&e.quote, NAME_CHARS))
    };
    format!("{{\"before\":{},\"time\":\"{}\"{quote}}}\n", quoted(&e.text, TEXT_CHARS), e.at)
}

fn exploited(e: &Exploited) -> String {
    format!(
        "{{\"exploited\":{},\"product\":{},\"name\":{},\"since\":{},\"ransomware\":{},\"asked\":{}}}\n",
        quoted(&e.cve, NAME_CHARS),
        quoted(&e.product, NAME_CHARS),
        quoted(&e.name, NAME_CHARS),
        quoted(&e.added, NAME_CHARS),
        e.ransomware,
        quoted(&e.action, TEXT_CHARS),
    )
}

fn technique(t: &Technique) -> String {
    let helps: Vec<String> = t
        .mitigations
        .iter()
        .map(|m| format!("{}:{}", quoted(&m.name, NAME_CHARS), quoted(&m.text, TEXT_CHARS)))
        .collect();
    let tactics: Vec<String> = t.tactics.iter().map(|tactic| quoted(tactic, NAME_CHARS)).collect();
    format!(
        "{{\"technique\":{},\"name\":{},\"tactics\":[{}],\"helps\":{{{}}}}}\n",
        quoted(&t.id, NAME_CHARS),
        quoted(&t.name, NAME_CHARS),
        tactics.join(","),
        helps.join(","),
    )
}

/// Of an incident of the past only words of ours and of operators': nothing that it quoted.
fn past(p: &Past) -> String {
    let judged = p.judgement.map_or("not judged", |judgement| judgement.token());
    let shared: Vec<String> = p.shared.iter().map(|term| quoted(term, NAME_CHARS)).collect();
    format!(
        "{{\"past\":\"{}\",\"level\":\"{}\",\"time\":\"{}\",\"events\":{},\"judged\":\"{judged}\",\
         \"shared\":[{}]}}\n",
        p.attack_type,
        p.level,
        p.first,
        p.count,
        shared.join(","),
    )
}
