"""Compare the code of two commits without their prose: ``python -m tests.same_syntax BASE [HEAD]``.

Two files are the same if their syntax trees are equal once docstrings are removed and every text with a space in it, as
messages have, is replaced by one placeholder. Comments are not part of a syntax tree. The exit code is 1 if a file
differs.
"""

import ast
import subprocess
import sys


class _WithoutProse(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)] or [ast.Pass()]  # type: ignore[attr-defined]
        visited: ast.AST = super().visit(node)
        return visited

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("message") if isinstance(node.value, str) and " " in node.value.strip() else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Keep the values that a message inserts, in any order, and leave out the words around them."""
        inserted = sorted((part for part in node.values if not isinstance(part, ast.Constant)), key=ast.dump)
        is_message = any(isinstance(part, ast.Constant) and " " in str(part.value) for part in node.values)
        return ast.JoinedStr(inserted) if is_message else self.generic_visit(node)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _tree(commit: str, path: str) -> str:
    source = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, check=True).stdout
    return ast.dump(_WithoutProse().visit(ast.parse(source)))


def main() -> None:
    """Print the files that differ in more than their prose."""
    base, head = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "HEAD"
    command = ["git", "diff", "--name-status", "--no-renames", base, head, "--", "*.py"]
    changes = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\n")
    different: list[str] = []
    for change in filter(None, changes):
        status, path = change.split("\t")
        if status != "M" or _tree(base, path) != _tree(head, path):
            different.append(f"{status} {path}")
    print(*different, sep="\n", end="\n" if different else "")
    print(f"{len(changes) - 1} files changed, {len(different)} of them in their code", file=sys.stderr)
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
