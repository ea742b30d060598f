//! The table: its sets, chains and rules.

use super::{Config, TABLE};
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Most networks in each set of intervals: `prefix.networks_max` is at most this.
const NETWORKS_MAX: u32 = 10_000;

/// What `nft` is told. Everything is `add`, which leaves alone what is there; only rules are
/// emptied first, so that none is there twice. In one transaction: there is no moment without.
fn text(config: &Config) -> String {
    let Config { addresses_max, slowed_packets_per_second: rate, .. } = config;
    let of = format!("inet {TABLE}");
    let mut text = format!("add table {of}\nflush table {of}\n");
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for (v, kind) in [("4", "ipv4_addr"), ("6", "ipv6_addr")] {
        for set in ["blocked", "slowed"] {
            let flags = format!("type {kind}; flags timeout; size {addresses_max};");
            line(format!("add set {of} {set}{v} {{ {flags} }}"));
        }
        let flags = format!("type {kind}; flags interval, timeout; size {};", 2 * NETWORKS_MAX);
        line(format!("add set {of} prefixes{v} {{ {flags} }}"));
        let flags = format!("type {kind}; flags dynamic, timeout; timeout 1m; size 65536;");
        line(format!("add set {of} rates{v} {{ {flags} }}"));
    }
    // Before the filters of others, so that what they accept is dropped all the same.
    for chain in ["input", "forward", "output"] {
        let hook = format!("type filter hook {chain} priority filter - 10; policy accept;");
        line(format!("add chain {of} {chain} {{ {hook} }}"));
    }
    // A subscriber of IPv6 has a /64 and may take any address in it.
    let sixty_four = "& ffff:ffff:ffff:ffff::";
    for (chain, ends) in
        [("input", &["saddr"][..]), ("forward", &["saddr", "daddr"]), ("output", &["daddr"])]
    {
        for end in ends {
            line(format!("add rule {of} {chain} ip {end} @blocked4 drop"));
            line(format!("add rule {of} {chain} ip6 {end} {sixty_four} @blocked6 drop"));
            line(format!("add rule {of} {chain} ip {end} @prefixes4 drop"));
            line(format!("add rule {of} {chain} ip6 {end} @prefixes6 drop"));
        }
        if chain == "output" {
            continue;
        }
        for (v, family, mask) in [("4", "ip", ""), ("6", "ip6", sixty_four)] {
            let source = format!("{family} saddr {mask}");
            line(format!(
                "add rule {of} {chain} {source} @slowed{v} update @rates{v} {{ {source} limit \
                 rate over {rate}/second }} drop"
            ));
        }
    }
    text
}

/// Makes the table, or what is missing of it.
pub(super) fn make(config: &Config) -> Result<(), String> {
    let text = text(config);
    match tell(&text) {
        Ok(()) => Ok(()),
        // Sets of an earlier version or another size: what they held is put back by whoever
        // compares what is there with what is desired.
        Err(_) => tell(&format!("add table inet {TABLE}\ndelete table inet {TABLE}\n{text}")),
    }
}

fn tell(text: &str) -> Result<(), String> {
    let failed = |why: String| format!("nft cannot make the table {TABLE}: {why}");
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("{e} (install the package nftables)")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(|e| failed(e.to_string()))?;
    }
    let out = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(failed(said.lines().next().unwrap_or("it did not say why").to_owned()))
}
