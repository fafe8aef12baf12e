"""Which spellings of an address are read: dotted decimal and no other."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from function_app.domain.base.addresses import dotted_decimal, with_or_without_length


def test_dotted_decimal_is_read() -> None:
    assert dotted_decimal(IPv4Address, "10.0.1.4") == IPv4Address("10.0.1.4")
    assert dotted_decimal(IPv4Network, "10.0.0.0/16") == IPv4Network("10.0.0.0/16")


@pytest.mark.parametrize(
    "value", [167772420, "::ffff:10.0.1.4", "0x0a000104", "010.0.1.4", "10.1", "10.0.1.4/24", "", None]
)
def test_no_other_spelling_is_an_address(value: object) -> None:
    with pytest.raises(ValueError, match=r"IPv4|octet|Expected|permitted|Unexpected"):
        dotted_decimal(IPv4Address, value)


def test_a_network_has_a_length() -> None:
    with pytest.raises(ValueError, match=r"^10\.1\.0\.0 has no length: write 10\.1\.0\.0/32 for the one address"):
        dotted_decimal(IPv4Network, "10.1.0.0")
    assert with_or_without_length(IPv4Network, "10.1.0.0") == IPv4Network("10.1.0.0/32")


def test_a_network_with_host_bits_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match=r"^10\.9\.1\.0/16 has host bits set: write 10\.9\.0\.0/16$"):
        dotted_decimal(IPv4Network, "10.9.1.0/16")


@pytest.mark.parametrize("value", ["0.0.0.0", "0.0.0.0/32"])
def test_what_looks_like_the_default_route_is_refused_with_the_way_to_write_it(value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{value} is no address .*: write 0\.0\.0\.0/0 for the default route$"):
        dotted_decimal(IPv4Network, value)
    assert with_or_without_length(IPv4Network, value) == IPv4Network("0.0.0.0/32")


def test_a_kind_that_is_no_address_is_left_to_msgspec() -> None:
    with pytest.raises(NotImplementedError, match="int"):
        dotted_decimal(int, "1")
