"""An object of the address space as a pattern for others: the library takes long to make one."""

import dataclasses
from collections.abc import Iterator

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from monitor.sinks.opcua.values import node_id


class Pattern:
    """The object *original* under *parent* as it is now, with all that lies below it.

    Nodes below it have its identifier, a dot and more for their own.
    """

    def __init__(self, aspace: AddressSpace, parent: ua.NodeId, original: ua.NodeId) -> None:
        self._aspace = aspace
        self._parent = parent
        self._original = original
        self._nodes = [_twin(aspace[node], {}) for node in _below(aspace, original)]

    async def repeat(self, where: ua.NodeId, name: ua.QualifiedName) -> None:
        """Add an object of the same kind at the identifier *where*."""
        twins = {node.nodeid: self._moved(node.nodeid, where) for node in self._nodes}
        for node in self._nodes:
            self._aspace[twins[node.nodeid]] = _twin(node, twins)
        for reference in list(self._aspace[self._parent].references):
            if reference.NodeId == self._original:
                self._aspace[self._parent].references.append(dataclasses.replace(reference, NodeId=where))
        for attribute, value in (
            (ua.AttributeIds.BrowseName, ua.Variant(name)),
            (ua.AttributeIds.DisplayName, ua.Variant(ua.LocalizedText(str(name.Name)))),
        ):  # this renames the references to it, too
            (await self._aspace.write_attribute_value(where, attribute, ua.DataValue(value))).check()

    def _moved(self, node: ua.NodeId, where: ua.NodeId) -> ua.NodeId:
        below = str(node.Identifier).removeprefix(str(self._original.Identifier))
        return node_id(f"{where.Identifier!s}{below}", where.NamespaceIndex)


def _below(aspace: AddressSpace, node: ua.NodeId) -> Iterator[ua.NodeId]:
    """*node* and what lies below it."""
    yield node
    for reference in aspace[node].references:
        if reference.IsForward and str(reference.NodeId.Identifier).startswith(f"{node.Identifier!s}."):
            yield from _below(aspace, reference.NodeId)


def _twin(node: NodeData, twins: dict[ua.NodeId, ua.NodeId]) -> NodeData:
    """A copy of *node* that shares its values, which are replaced whole, and refers to the *twins* of what it knows."""
    twin = NodeData(twins.get(node.nodeid, node.nodeid))
    twin.attributes = {
        attribute: AttributeValue(held.value) for attribute, held in node.attributes.items() if held.value is not None
    }
    twin.attributes[ua.AttributeIds.NodeId] = AttributeValue(ua.DataValue(ua.Variant(twin.nodeid)))
    twin.references = [
        dataclasses.replace(reference, NodeId=twins.get(reference.NodeId, reference.NodeId))
        for reference in node.references
    ]
    return twin
