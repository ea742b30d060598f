//! What a client says it is.

use crate::features::sketch::hash;

/// A client's own words, sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The words without their version numbers: an update is no new device.
    pub family: u64,
    /// A library or tool of scripts says so itself, or a browser without a screen.
    pub scripted: bool,
    /// It says that it is a browser.
    pub browser: bool,
}

/// Words of libraries, test drivers and guessing tools, lower case.
const SCRIPTED: &[&str] = &[
    "python",
    "curl/",
    "wget/",
    "go-http-client",
    "libwww",
    "java/",
    "apache-httpclient",
    "axios",
    "node-fetch",
    "undici",
    "aiohttp",
    "httpx",
    "scrapy",
    "okhttp",
    "guzzle",
    "ruby",
    "perl",
    "powershell",
    "postman",
    "insomnia",
    "headless",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "hydra",
    "medusa",
    "ncrack",
    "patator",
    "zgrab",
    "masscan",
    "nmap",
    "libssh",
    "paramiko",
    "openbullet",
    "ssh2js",
    "asyncssh",
    "jsch",
    "bot",
];

impl Agent {
    /// Sorts a client's words.
    #[must_use]
    pub fn of(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let family: String = words.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let scripted = SCRIPTED.iter().any(|word| words.contains(word));
        let browser = words.starts_with("mozilla/") && !scripted;
        Self { family: hash(&family), scripted, browser }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_told_from_browsers_and_an_update_is_no_new_client() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36";
        let browser = Agent::of(chrome);
        assert!(browser.browser && !browser.scripted);
        assert_eq!(browser, Agent::of(&chrome.replace("126.0", "131.0")));
        for tool in ["python-requests/2.31", "curl/8.5.0", "SSH-2.0-libssh_0.9.6"] {
            assert!(Agent::of(tool).scripted, "{tool}");
        }
        assert!(Agent::of(&chrome.replace("Chrome", "HeadlessChrome")).scripted);
        assert!(!Agent::of("SSH-2.0-OpenSSH_9.6").scripted);
    }
}
