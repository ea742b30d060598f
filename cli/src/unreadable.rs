//! Messages of a stream that no reader of this version understands: left out, and told so.

use crate::output::note;
use magsentinel_bus_schema::{Level, Limits, Message, Subject};
use magsentinel_runtime::stage::Delivery;

/// How many there were.
#[derive(Default)]
pub struct Unreadable(u64);

impl Unreadable {
    /// What a message says; nothing, and counted, where it cannot be read. Receipts for ordinary
    /// events lie among the scored events of level none and are no error.
    pub fn read<T: Message>(&mut self, delivery: &Delivery) -> Option<T> {
        let read = delivery.decode(Limits::default());
        let receipt =
            matches!(Subject::parse(&delivery.subject), Ok((_, Subject::Scored(_, Level::None))));
        self.0 += u64::from(read.is_err() && !receipt);
        read.ok()
    }

    /// Says on standard error how many were left out.
    pub fn tell(&self) {
        if self.0 > 0 {
            let count = self.0;
            note(&format!("{count} messages cannot be read by this version and are left out"));
        }
    }
}
