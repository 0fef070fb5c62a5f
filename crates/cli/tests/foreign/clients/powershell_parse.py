"""Parses PowerShell with tree-sitter's grammar.

Reads a JSON list of scripts. For each one prints, in a JSON list, what the grammar could not read
(trouble) and the commands: the name, and each parameter with its argument as it is written.
"""

import json
import sys

import tree_sitter
import tree_sitter_powershell

parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node):
    return node.text.decode()


def told(script):
    trouble, commands = [], []
    for node in nodes(parser.parse(script.encode()).root_node):
        if node.is_error or node.is_missing:
            line = node.start_point[0] + 1
            trouble.append(f"line {line}: {node.type} {text(node)!r}")
        elif node.type == "command_name":
            commands.append({"name": text(node), "parameters": []})
        elif node.type == "command_parameter":
            commands[-1]["parameters"].append([text(node).removeprefix("-"), None])
        elif node.type in ("array_literal_expression", "generic_token"):
            # The words of a command; those inside of an expression have another parent.
            if node.parent.type == "command_elements":
                commands[-1]["parameters"][-1][1] = text(node)
    return {"trouble": trouble, "commands": commands}


print(json.dumps([told(script) for script in json.load(sys.stdin)]))
