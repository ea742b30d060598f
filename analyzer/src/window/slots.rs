//! Where the keys of a lane are kept: each in a place of its own, found by name.
//!
//! There may be millions, and nearly all are of one event. Places lie side by side in blocks, so
//! that none costs an allocation, and whoever speaks of a key does so by its place, in eight bytes.

use super::followed::{Followed, Key};
use compact_str::CompactString;
use hashbrown::HashTable;
use magsentinel_bus_schema::{Class, Tenant};
use std::hash::{BuildHasher, RandomState};

/// Places in a block.
const BLOCK: u32 = 64;

/// Where a key is kept while it is followed. Slots have an order that the names of the keys alone
/// give, so that every owner of a shard puts keys of the same time into the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    mark: u32,
    at: u32,
}

/// A followed key.
#[derive(Debug)]
pub(super) struct Place {
    name: Name,
    /// It had events since the last settling.
    pub(super) dirty: bool,
    pub(super) followed: Followed,
}

/// The name of a key, beside its tenant.
#[derive(Debug)]
pub(super) struct Name {
    value: CompactString,
    mark: u32,
    tenant: u16,
    class: Class,
}

impl Name {
    fn is(&self, tenant: u16, key: &Key) -> bool {
        self.class == key.class && self.tenant == tenant && self.value == key.value
    }

    fn key(&self, tenant: &Tenant) -> Key {
        Key { tenant: tenant.clone(), class: self.class, value: self.value.clone() }
    }
}

/// A key by its parts, put together where somebody is told of it.
pub(super) struct Named<'s>(&'s Tenant, &'s Name);

impl Named<'_> {
    pub(super) fn key(&self) -> Key {
        self.1.key(self.0)
    }
}

#[derive(Debug, Default)]
struct Block {
    /// None, or [`BLOCK`]: a block that nobody is left in gives its memory back.
    places: Vec<Option<Place>>,
    taken: u32,
}

/// The blocks alone, so that they can be read while the index is changed.
#[derive(Debug, Default)]
struct Blocks(Vec<Block>);

impl Blocks {
    fn get(&self, at: u32) -> Option<&Place> {
        self.0.get((at / BLOCK) as usize)?.places.get((at % BLOCK) as usize)?.as_ref()
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Place> {
        self.0.get_mut((at / BLOCK) as usize)?.places.get_mut((at % BLOCK) as usize)?.as_mut()
    }

    /// Adds a block; its first place and the one after its last, unless there are too many.
    fn grow(&mut self) -> Option<std::ops::Range<u32>> {
        let first = u32::try_from(self.0.len()).ok()?.checked_mul(BLOCK)?;
        let next = first.checked_add(BLOCK)?;
        self.0.push(Block::default());
        Some(first..next)
    }

    fn put(&mut self, at: u32, place: Place) {
        let Some(block) = self.0.get_mut((at / BLOCK) as usize) else { return };
        if block.places.is_empty() {
            block.places.reserve_exact(BLOCK as usize);
            block.places.resize_with(BLOCK as usize, || None);
        }
        if let Some(free) = block.places.get_mut((at % BLOCK) as usize) {
            *free = Some(place);
            block.taken += 1;
        }
    }

    fn take(&mut self, at: u32) -> Option<Place> {
        let block = self.0.get_mut((at / BLOCK) as usize)?;
        let place = block.places.get_mut((at % BLOCK) as usize)?.take()?;
        block.taken -= 1;
        if block.taken == 0 {
            block.places = Vec::new();
        }
        Some(place)
    }
}

/// The followed keys.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Blocks,
    /// Places without a key.
    free: Vec<u32>,
    by_name: HashTable<u32>,
    /// Seeded at random: nobody can choose names that meet in one bucket.
    hasher: RandomState,
    /// Those that any key ever was of; one, but for those who ask about events of several.
    tenants: Vec<Tenant>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Where a key is kept, if it is.
    pub(super) fn find(&self, key: &Key) -> Option<Slot> {
        let tenant = self.tenant(&key.tenant)?;
        let blocks = &self.blocks;
        let is = |at: &u32| blocks.get(*at).is_some_and(|place| place.name.is(tenant, key));
        let at = *self.by_name.find(hash(&self.hasher, tenant, key.class, &key.value), is)?;
        Some(Slot { mark: blocks.get(at)?.name.mark, at })
    }

    /// Follows a key that is not followed yet. `None` where places run out: after four thousand
    /// million keys, or keys of 65,536 tenants.
    pub(super) fn follow(&mut self, key: Key, followed: Followed) -> Option<Slot> {
        let tenant = match self.tenant(&key.tenant) {
            Some(known) => known,
            None => {
                let next = u16::try_from(self.tenants.len()).ok()?;
                self.tenants.push(key.tenant.clone());
                next
            }
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.free.extend(self.blocks.grow()?.rev());
                self.free.pop()?
            }
        };
        let (hash_of, mark) = (hash(&self.hasher, tenant, key.class, &key.value), mark(&key));
        let name = Name { value: key.value, mark, tenant, class: key.class };
        self.blocks.put(at, Place { name, dirty: false, followed });
        let (blocks, hasher) = (&self.blocks, &self.hasher);
        let again = |at: &u32| {
            let name = blocks.get(*at).map(|place| &place.name);
            name.map_or(0, |name| hash(hasher, name.tenant, name.class, &name.value))
        };
        self.by_name.insert_unique(hash_of, at, again);
        Some(Slot { mark, at })
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Place> {
        self.blocks.get(slot.at).filter(|place| place.name.mark == slot.mark)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Place> {
        self.blocks.get_mut(slot.at).filter(|place| place.name.mark == slot.mark)
    }

    /// What is known of a key, and who it is.
    pub(super) fn named(&mut self, slot: Slot) -> Option<(Named<'_>, &mut Followed)> {
        let place = self.blocks.get_mut(slot.at).filter(|place| place.name.mark == slot.mark)?;
        let tenant = self.tenants.get(usize::from(place.name.tenant))?;
        Some((Named(tenant, &place.name), &mut place.followed))
    }

    /// Follows a key no longer.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<(Key, Followed)> {
        let name = &self.get(slot)?.name;
        let hash = hash(&self.hasher, name.tenant, name.class, &name.value);
        let tenant = self.tenants.get(usize::from(name.tenant))?.clone();
        self.by_name.find_entry(hash, |at| *at == slot.at).ok()?.remove();
        let Place { name, followed, .. } = self.blocks.take(slot.at)?;
        self.free.push(slot.at);
        Some((Key { tenant, class: name.class, value: name.value }, followed))
    }

    /// All keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Followed)> {
        let places = self.blocks.0.iter().flat_map(|block| block.places.iter().flatten());
        places.filter_map(|place| {
            let tenant = self.tenants.get(usize::from(place.name.tenant))?;
            Some((place.name.key(tenant), &place.followed))
        })
    }

    fn tenant(&self, tenant: &Tenant) -> Option<u16> {
        let at = self.tenants.iter().position(|known| known == tenant)?;
        u16::try_from(at).ok()
    }
}

fn hash(hasher: &RandomState, tenant: u16, class: Class, value: &str) -> u64 {
    hasher.hash_one((tenant, class, value))
}

/// The same for a key in every process: FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo, 1991), 32 bits.
fn mark(key: &Key) -> u32 {
    let class = key.class.token();
    let name = [key.tenant.as_str(), "\0", class, "\0", key.value.as_str()];
    let bytes = name.iter().flat_map(|part| part.bytes());
    bytes.fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::Timestamp;

    fn key(tenant: &str, class: Class, n: u32) -> Key {
        Key { tenant: tenant.parse().unwrap(), class, value: format!("key-{n}").into() }
    }

    fn followed(n: u32) -> Followed {
        Followed::new(Timestamp::from_micros(n.into()))
    }

    #[test]
    fn a_key_is_found_by_all_of_its_name_and_where_it_was_another_is_kept() {
        let mut slots = Slots::default();
        let names: Vec<Key> = ["a", "b"]
            .iter()
            .flat_map(|tenant| [Class::User, Class::Host].map(|class| (tenant, class)))
            .flat_map(|(tenant, class)| (0..100).map(move |n| key(tenant, class, n)))
            .collect();
        let all: Vec<Slot> = names
            .iter()
            .zip(0..)
            .map(|(key, n)| slots.follow(key.clone(), followed(n)).unwrap())
            .collect();
        assert_eq!(slots.len(), 400);
        for ((key, slot), n) in names.iter().zip(&all).zip(0..) {
            assert_eq!(slots.find(key), Some(*slot));
            let (named, kept) = slots.named(*slot).unwrap();
            assert_eq!((&named.key(), &*kept), (key, &followed(n)));
        }
        assert_eq!(slots.find(&key("c", Class::User, 1)), None);
        for slot in &all[..399] {
            slots.remove(*slot).unwrap();
        }
        assert_eq!(slots.find(&names[7]), None);
        assert!(slots.get(all[7]).is_none() && slots.remove(all[7]).is_none());
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(names[399].clone(), &followed(399))]);
        let left = slots.blocks.0.iter().filter(|block| !block.places.is_empty()).count();
        assert_eq!(left, 1, "blocks without a key hold no memory");
        // Its place goes to another, which nobody takes for it.
        let next: Vec<Slot> = (400..800)
            .map(|n| slots.follow(key("a", Class::User, n), followed(n)).unwrap())
            .collect();
        assert!(next.iter().any(|slot| slot.at == all[7].at));
        assert!(slots.get(all[7]).is_none());
        assert!(slots.blocks.0.len() <= 7, "places are used again");
    }

    #[test]
    fn the_order_of_slots_follows_from_the_names_alone() {
        let order = |numbers: &[u32]| {
            let mut slots = Slots::default();
            let follow = |n: &u32| slots.follow(key("a", Class::User, *n), followed(*n)).unwrap();
            let mut all: Vec<(Slot, u32)> =
                numbers.iter().map(follow).zip(numbers.to_vec()).collect();
            all.sort();
            all.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
        };
        assert_eq!(order(&[1, 2, 3, 4, 5, 6]), order(&[6, 2, 5, 1, 4, 3]));
    }
}
