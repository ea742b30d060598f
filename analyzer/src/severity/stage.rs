//! How far an attack has come, by ATT&CK technique.

use serde::{Deserialize, Serialize};

/// The stages of an attack in their usual order: ATT&CK's tactics, neighbouring ones together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reconnaissance and discovery.
    Looking,
    /// Credential access: guessing, stealing.
    Guessing,
    /// Initial access, with what was found or guessed.
    Entering,
    /// Execution and persistence.
    Running,
    /// Privilege escalation and defence evasion.
    Rising,
    /// Lateral movement, collection, command and control.
    Moving,
    /// Exfiltration and impact.
    Taking,
}

/// Techniques without their sub-technique, by the stage at which they are most often seen. One
/// that ATT&CK (v18, <https://attack.mitre.org>) lists under several tactics stands under the
/// earliest that a patrol can see of it.
const TECHNIQUES: &[(Stage, &[&str])] = &[
    (
        Stage::Looking,
        &["T1046", "T1082", "T1087", "T1518", "T1590", "T1592", "T1594", "T1595", "T1083"],
    ),
    (Stage::Guessing, &["T1003", "T1110", "T1539", "T1552", "T1555", "T1557", "T1606", "T1621"]),
    (Stage::Entering, &["T1078", "T1133", "T1189", "T1190", "T1195", "T1199", "T1200", "T1566"]),
    (
        Stage::Running,
        &["T1053", "T1059", "T1098", "T1136", "T1176", "T1203", "T1204", "T1505", "T1543"],
    ),
    (Stage::Rising, &["T1027", "T1036", "T1068", "T1070", "T1134", "T1548", "T1562", "T1611"]),
    (
        Stage::Moving,
        &[
            "T1005", "T1021", "T1071", "T1074", "T1090", "T1095", "T1119", "T1123", "T1125",
            "T1210", "T1213", "T1530", "T1550", "T1568", "T1571", "T1572", "T1573",
        ],
    ),
    (
        Stage::Taking,
        &[
            "T1020", "T1029", "T1030", "T1041", "T1048", "T1485", "T1486", "T1489", "T1490",
            "T1491", "T1496", "T1498", "T1499", "T1531", "T1537", "T1565", "T1567",
        ],
    ),
];

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] = [
        Self::Looking,
        Self::Guessing,
        Self::Entering,
        Self::Running,
        Self::Rising,
        Self::Moving,
        Self::Taking,
    ];

    /// The stage of a technique, `T1110` or `T1110.003`; none for one that is not listed.
    #[must_use]
    pub fn of(technique: &str) -> Option<Self> {
        let (whole, _) = technique.split_once('.').unwrap_or((technique, ""));
        TECHNIQUES.iter().find(|(_, all)| all.contains(&whole)).map(|(stage, _)| *stage)
    }
}
