"""Route templates, without a host around them."""

import pytest

from tools.functions_host import routes
from tools.functions_host.errors import ConfigurationError
from tools.functions_host.routes import Match, Table


def table(*templates: str, prefix: str = "api", methods: tuple[str, ...] = ()) -> Table:
    return Table(prefix, [routes.parse(template, template, methods) for template in templates])


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("a/{x}", "/api/a/1", {"x": "1"}),
        ("a/{x?}", "/api/a", {}),
        ("a/{x=7}", "/api/a", {"x": "7"}),
        ("a/{x=7}", "/api/a/8", {"x": "8"}),
        ("a/{x:int?}", "/api/a", {}),
        ("a/{x:int}", "/api/a/-3", {"x": "-3"}),
        ("a/{x:guid}", "/api/a/0F8FAD5B-D9CB-469F-A165-70867728950E", {"x": "0F8FAD5B-D9CB-469F-A165-70867728950E"}),
        ("a/{x:bool}", "/api/a/True", {"x": "True"}),
        ("a/{x:alpha}", "/api/a/abc", {"x": "abc"}),
        ("a/{x:length(3)}", "/api/a/abc", {"x": "abc"}),
        ("a/{x:length(2,3)}", "/api/a/ab", {"x": "ab"}),
        ("a/{x:minlength(2)}", "/api/a/abcd", {"x": "abcd"}),
        ("a/{x:maxlength(2)}", "/api/a/ab", {"x": "ab"}),
        ("a/{x:regex(^\\d+z$)}", "/api/a/12z", {"x": "12z"}),
        ("a/{*rest}", "/api/a/b/c%20d", {"rest": "b/c d"}),
        ("a/{*rest}", "/api/a", {}),
        ("{*rest}", "/api", {}),
        ("a/{x}.{y}", "/api/a/file.txt", {"x": "file", "y": "txt"}),
        ("a/v{x:int}", "/api/a/v2", {"x": "2"}),
    ],
)
def test_a_path_gives_the_parameters_its_template_names(template: str, path: str, parameters: dict[str, str]) -> None:
    assert table(template).find("GET", path) == Match(template, parameters)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("a/{x}", "/api/a"),
        ("a/{x}", "/api/a/1/2"),
        ("a/{x:int}", "/api/a/one"),
        ("a/{x:guid}", "/api/a/1"),
        ("a/{x:length(3)}", "/api/a/ab"),
        ("a/{x:minlength(2)}", "/api/a/b"),
        ("a/{x:maxlength(2)}", "/api/a/abc"),
        ("a", "/a"),
        ("a", "/other/a"),
        ("a", "/api/ab"),
    ],
)
def test_another_path_gives_nothing(template: str, path: str) -> None:
    assert table(template).find("GET", path) is None


@pytest.mark.parametrize(
    ("path", "winner"),
    [
        ("/api/a/b", "a/b"),
        ("/api/a/1", "a/{x:int}"),
        ("/api/a/c", "a/{x}"),
        ("/api/a/c/d", "a/{*rest}"),
        ("/api/z", "{*all}"),
    ],
)
def test_the_more_special_template_wins_whatever_their_order(path: str, winner: str) -> None:
    templates = ["{*all}", "a/{*rest}", "a/{x}", "a/{x:int}", "a/b"]
    for order in (templates, templates[::-1]):
        found = table(*order).find("GET", path)
        assert found is not None
        assert found.function == winner


def test_an_empty_prefix_puts_routes_at_the_root() -> None:
    assert table("a", prefix="").find("GET", "/a") == Match("a", {})
    assert table("a", prefix="x/y").find("GET", "/x/y/a") == Match("a", {})


def test_methods_are_compared_without_case() -> None:
    assert table("a", methods=("get",)).find("GET", "/api/a") is not None
    assert table("a", methods=("get",)).find("POST", "/api/a") is None


def test_two_functions_may_share_a_template_by_method() -> None:
    both = Table("api", [routes.parse("read", "a", ["GET"]), routes.parse("write", "a", ["POST"])])
    assert both.find("POST", "/api/a") == Match("write", {})


@pytest.mark.parametrize("template", ["{x?}/a", "{*rest}/a", "a/{x:unheard}", "a/{x", "a/{x:range(1,5)}"])
def test_a_template_that_is_not_understood_is_refused_by_function(template: str) -> None:
    with pytest.raises(ConfigurationError, match="function f"):
        routes.parse("f", template, [])
