"""Growth over several processes: strategies that follow a network whose parameters come and go."""

from kasmina.strategies.commit import check_ranks, commit_topology
from kasmina.strategies.ddp import GrowingDDP
from kasmina.strategies.fsdp2 import GrowingFSDP2
from kasmina.strategies.peers import RankLost, together

__all__ = ["GrowingDDP", "GrowingFSDP2", "RankLost", "check_ranks", "commit_topology", "together"]
