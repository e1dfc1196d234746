"""Many groups on the same nodes: where users are put, what one more group costs, what moving a user costs.

Decides: a small deterministic model of docs/performance/groups.md: groups of three slots on machines, users with skewed load, a first placement
by rendezvous hashing with a bound, from then on moves, one user at a time. Loads are shares of what one group can do, not times; what it prints is
arithmetic over one seed.
Trusts: the figures given on the command line for what one group does and how fast a state travels. Out of scope: protocol; nothing here is built.

    python3 docs/performance/groups.py            the tables of groups.md
    python3 docs/performance/groups.py --test     the rules of the plan, on many seeds
"""
import argparse
import hashlib
import sys

MEMBERS = 3  # slots of a group
HEAVY = 1.1  # exponent of the skew of users' load: user n has 1/n^HEAVY of the first one's
ROOM = 1.25  # a group is given at most this much of an even share of the load, where a user fits elsewhere
WRITES_AT_LEADER = 0.6  # of the work of a group its leader does this much, followers share the rest: assumed, not measured


def chance(*words):
    """A number in [0, 1) that depends on the words alone."""
    text = "|".join(str(word) for word in words).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big") / 2**56


def loads(users, seed):
    """Load of each user, summing to 1; who is heavy depends on the seed."""
    order = sorted(range(users), key=lambda user: chance(seed, "rank", user))
    weights = [1 / (rank + 1) ** HEAVY for rank in range(users)]
    total = sum(weights)
    return {user: weight / total for user, weight in zip(order, weights)}


def preferred(user, groups):
    """Groups in the order a user is offered to them: stable for everybody but those a change of the list concerns."""
    return sorted(groups, key=lambda group: chance("user", user, group), reverse=True)


def place(load, groups, room=ROOM):
    """Each user's group: the first preferred one with room, heavy users first. One user alone may exceed a share."""
    share, filled, placed = sum(load.values()) / len(groups), dict.fromkeys(groups, 0.0), {}
    for user in sorted(load, key=lambda user: (-load[user], user)):
        order = preferred(user, groups)
        fits = [group for group in order if filled[group] + load[user] <= share * room]
        group = fits[0] if fits else min(order, key=lambda group: filled[group])
        filled[group] += load[user]
        placed[user] = group
    return placed


def seats(groups, machines):
    """The machines of each group, leader first: no machine twice in a group, members and then leaders as even as can be."""
    held, led, chosen = dict.fromkeys(machines, 0), dict.fromkeys(machines, 0), {}
    for group in groups:
        three = sorted(machines, key=lambda machine: (held[machine], chance("seat", group, machine)))[:MEMBERS]
        leader = min(three, key=lambda machine: (led[machine], chance("lead", group, machine)))
        led[leader] += 1
        for machine in three:
            held[machine] += 1
        chosen[group] = [leader] + [machine for machine in three if machine != leader]
    return chosen


def group_loads(load, placed, groups):
    """Load of each group."""
    filled = dict.fromkeys(groups, 0.0)
    for user, group in placed.items():
        filled[group] += load[user]
    return filled


def machine_loads(filled, seated, machines):
    """Load of each machine, in the same unit."""
    carried = dict.fromkeys(machines, 0.0)
    for group, (leader, *others) in seated.items():
        carried[leader] += filled[group] * WRITES_AT_LEADER
        for machine in others:
            carried[machine] += filled[group] * (1 - WRITES_AT_LEADER) / len(others)
    return carried


def moves(before, load, groups, most):
    """Moves that even the groups out, at most so many, in order: each time the heaviest user of the fullest group that leaves the two closer."""
    filled, members = group_loads(load, before, groups), {group: [] for group in groups}
    for user, group in before.items():
        members[group].append((-load[user], user))
    least, done = sum(load.values()) / len(groups) * (ROOM - 1), []
    while len(done) < most:
        empty = min(groups, key=lambda group: filled[group])
        for full in sorted(groups, key=lambda group: (-filled[group], group)):
            gap = filled[full] - filled[empty]
            better = [(weight, user) for weight, user in members[full] if -weight < gap / 2]
            if better or gap < least:
                break
        if gap < least:
            return done
        weight, user = min(better)
        members[full].remove((weight, user))
        members[empty].append((weight, user))
        filled[full] += weight
        filled[empty] -= weight
        done.append((user, full, empty))
    return done


def copying(stored_bytes, rate, writes, pause_rounds=2, round_s=0.001):
    """Seconds a user's rows take to another group while he writes, and seconds his writes wait: what is written meanwhile is copied in rounds that
    shrink, and the last one waits. `rate`: bytes a second; `writes`: bytes a second of the user. None: he writes faster than it is copied."""
    if writes >= rate:
        return None
    total, left = 0.0, stored_bytes / rate
    while left > round_s:
        total += left
        left *= writes / rate
    return total + left, left + pause_rounds * round_s


def table(users, seed, put_s, rate):
    """What groups.md shows."""
    load = loads(users, seed)
    heaviest = max(load.values())
    print(f"{users} users, seed {seed}, the heaviest has {heaviest:.1%} of the load; one group: {put_s} puts/s")
    print("groups machines  fullest group  fullest machine  puts/s before a group is full  one more group: moves, load moved, fullest then")
    for count in (1, 2, 4, 8, 16):
        groups, machines = [f"g{n}" for n in range(count)], [f"m{n}" for n in range(max(3, count))]
        placed = place(load, groups)
        filled = group_loads(load, placed, groups)
        carried = machine_loads(filled, seats(groups, machines), machines)
        more, then = groups + [f"g{count}"], dict(placed)
        steps = moves(placed, load, more, users)
        then.update({user: target for user, _, target in steps})
        moved = sum(load[user] for user in load if then[user] != placed[user])
        last = max(group_loads(load, then, more).values())
        print(
            f"{count:>6} {len(machines):>8} {max(filled.values()):>14.1%} {max(carried.values()):>16.1%} "
            f"{put_s / max(filled.values()):>30.0f} {len(steps):>23} {moved:>11.1%} {last:>13.1%}"
        )
    print("\nmoving one user, copied at", f"{rate / 1e6:.0f} MB/s")
    for stored, writes in ((1e5, 0), (1e7, 1e5), (1e8, 1e6), (1e9, 5e6)):
        whole, waits = copying(stored, rate, writes)
        print(f"{stored / 1e6:>8.1f} MB stored, {writes / 1e6:>5.1f} MB/s written: {whole:>8.3f} s, of which writes wait {waits * 1000:>6.1f} ms")


def test():
    """The rules of the plan. Fails by assertion."""
    for seed in range(20):
        load = loads(2_000, seed)
        groups, machines = [f"g{n}" for n in range(6)], [f"m{n}" for n in range(7)]
        placed = place(load, groups)
        assert placed == place(load, groups), "placement is a function of its input"
        assert set(placed) == set(load), "every user has one group"
        share, filled = 1 / len(groups), group_loads(load, placed, groups)
        assert max(filled.values()) <= max(share * ROOM, max(load.values())) + 1e-9, "no group is above its bound unless one user is"
        steps = moves(placed, load, groups + ["g6"], 10_000)
        assert "g6" in {target for _, _, target in steps} and len(steps) < len(load) * 0.1, f"one more group is filled by {len(steps)} moves"
        seated = seats(groups, machines)
        assert all(len(set(three)) == MEMBERS for three in seated.values()), "a machine sits in a group once"
        held = [sum(machine in three for three in seated.values()) for machine in machines]
        assert max(held) - min(held) <= 1, "seats are even"
        crooked = {user: groups[0] if user % 3 else placed[user] for user in load}
        before = dict(crooked)
        steps = moves(crooked, load, groups, 10_000)
        for user, source, target in steps:
            assert before[user] == source != target, "a user moves from where he is"
            before[user] = target
        was, now = max(group_loads(load, crooked, groups).values()), max(group_loads(load, before, groups).values())
        assert now < was and len(steps) < len(load), "moves even groups out, and end"
    assert copying(1e6, 1e6, 1e6) is None, "who writes as fast as he is copied is never done"
    whole, waits = copying(1e9, 1e7, 1e6)
    assert whole > waits and waits < 0.01, "writes wait for the last round alone"
    print("the rules hold on 20 seeds")


def main():
    words = argparse.ArgumentParser(description="placement and moves of users over groups; see docs/performance/groups.md")
    words.add_argument("--test", action="store_true", help="try the rules instead of printing the tables")
    words.add_argument("--users", type=int, default=10_000)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--put-s", type=float, default=8_927, help="puts a second of one group: docs/limits.md, 256 clients, 256 B")
    words.add_argument("--rate", type=float, default=1.046e7, help="bytes a second rows are copied at: 2,554 puts/s of 4 KiB")
    asked = words.parse_args()
    if asked.test:
        return test()
    table(asked.users, asked.seed, asked.put_s, asked.rate)


if __name__ == "__main__":
    sys.exit(main())
