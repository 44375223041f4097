//! Everything at once: wishes, controllers that die, groups without leaders, in an order that a
//! seed repeats.

use bytes::Bytes;
use coterie_protocol::catalog::Wish;
use coterie_types::TableId;

use super::*;

/// A sequence of numbers that a seed repeats (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn key(&mut self) -> Bytes {
        let letters = *LETTERS.end() - *LETTERS.start() + 1;
        let letter = u8::try_from(self.below(letters.into())).unwrap();
        vec![*LETTERS.start() + letter].into()
    }

    fn wish(&mut self) -> Wish {
        let table = TableId(0);
        let key = self.key();
        match self.below(8) {
            0..3 => Wish::Split { table, at: key },
            3 | 4 => Wish::Merge { table, key },
            5 | 6 => Wish::Move {
                table,
                key,
                to: Some(GroupId(1 + self.below(3))),
            },
            _ if self.below(3) == 0 => Wish::Move {
                table,
                key,
                to: None,
            },
            _ => Wish::Replace {
                group_id: GroupId(1 + self.below(3)),
                node_id: NodeId(1 + self.below(4)),
            },
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_order_it_comes_in_it_ends_whole() {
    for seed in 1..=60 {
        let mut chance = Chance(seed * 0x9e37_79b9);
        let (sim, _) = settled().await;
        for life in 2..10 {
            for _ in 0..chance.below(4) {
                sim.ask_for(chance.wish());
            }
            let fence = sim.take_over(life);
            let leaderless = GroupId(1 + chance.below(3));
            let leader = {
                let mut inner = sim.lock();
                inner.sources_are_silent = chance.below(2) == 0;
                inner.calls_left = usize::try_from(chance.below(60)).unwrap();
                let group = inner.groups.get_mut(&leaderless).unwrap();
                if chance.below(2) == 0 {
                    group.leader.take()
                } else {
                    None
                }
            };
            let wanted = settings();
            let living = tokio::time::timeout(Duration::from_secs(20), sim.settle(fence, &wanted));
            let _ = living.await;
            let mut inner = sim.lock();
            let group = inner.groups.get_mut(&leaderless).unwrap();
            group.leader = group.leader.or(leader);
        }
        let fence = sim.take_over(100);
        sim.settle(fence, &settings()).await.unwrap();
        check_whole(&sim);
    }
}
