from __future__ import annotations

from headgate.routing.prefix_map import Key, PrefixMap


def _made(*texts: bytes) -> PrefixMap[bytes]:
    return PrefixMap[bytes]().edited({_key(text): text for text in texts})


def _key(text: bytes) -> Key:
    return Key(text.removesuffix(b"*"), is_prefix=text.endswith(b"*"))


def test_exact_comes_first_then_the_longest_beginning() -> None:
    found = _made(b"*", b"/a*", b"/ab", b"/ab*", b"/abc*", b"/b*").find(b"/ab")
    assert list(found) == [(3, b"/ab"), (3, b"/ab*"), (2, b"/a*"), (0, b"*")]


def test_what_is_not_there_is_not_found() -> None:
    assert list(_made(b"/a", b"/b*").find(b"/ab")) == []
    assert _made(b"/a").get(_key(b"/a*")) is None


def test_an_edit_leaves_the_map_it_was_made_from() -> None:
    old = _made(b"/a", b"/b*", b"/cc*")
    new = old.edited({_key(b"/a"): None, _key(b"/b*"): None, _key(b"/dddd*"): b"new"})
    assert (list(old.find(b"/a")), list(old.find(b"/bx"))) == ([(2, b"/a")], [(2, b"/b*")])
    assert (list(new.find(b"/a")), list(new.find(b"/bx")), list(new.find(b"/ddddd"))) == ([], [], [(5, b"new")])
    assert (old.lengths, new.lengths) == ((3, 2), (5, 3))


def test_a_length_goes_with_its_last_beginning() -> None:
    both = _made(b"/a*", b"/b*")
    one = both.edited({_key(b"/a*"): None})
    assert (both.lengths, one.lengths, one.edited({_key(b"/b*"): None}).lengths) == ((2,), (2,), ())


def test_taking_out_what_is_not_there_changes_nothing() -> None:
    same = _made(b"/a*").edited({_key(b"/x*"): None, _key(b"/x"): None})
    assert (same.lengths, list(same.find(b"/ab"))) == ((2,), [(2, b"/a*")])


def test_an_edit_shares_the_side_that_it_does_not_touch() -> None:
    old = _made(b"/a", b"/b*")
    assert old.edited({_key(b"/c"): b"/c"}).prefixes is old.prefixes
    assert old.edited({_key(b"/c*"): b"/c*"}).exact is old.exact


def test_only_a_map_without_values_is_false() -> None:
    assert not PrefixMap[bytes]()
    assert _made(b"/a")
    assert _made(b"*")
    assert not _made(b"/a").edited({_key(b"/a"): None})
