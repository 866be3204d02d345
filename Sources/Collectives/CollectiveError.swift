package import Failures

/// Why processes cannot work together.
package enum CollectiveError: Failure, Equatable {
  /// A rank ended or does not answer.
  case rankLost(Int)
  /// The library reports an error.
  case library(String)
  /// A message of this many bytes is more than one can be.
  case messageSize(Int)
  /// Several processes were started of a program that cannot work together.
  case builtWithoutMPI(Int)
  /// Several processes were started that do not know of each other.
  case notConnected(Int)
  /// The communicator was left.
  case finished

  package var kind: FailureKind {
    switch self {
    case .rankLost, .library: .unreachable
    case .messageSize: .exhausted
    case .builtWithoutMPI, .notConnected: .usage
    case .finished: .defect
    }
  }

  package var description: String {
    switch self {
    case .rankLost(let rank):
      "rank \(rank) of this trainer is gone or does not answer; start the trainer again on the same store, and its jobs go on"
    case .library(let text): "the message passing library reports: \(text)"
    case .messageSize(let bytes): "a message of \(bytes) bytes is more than the message passing library takes"
    case .builtWithoutMPI(let processes):
      "started as \(processes) processes, but this program was built without MPI, and each would serve for itself: build it with "
        + "`make mpi`, or start one process"
    case .notConnected(let processes):
      "started as \(processes) processes that MPI does not join: start them with mpirun, or srun --mpi=pmix, of the MPI that this "
        + "program was built with"
    case .finished: "the processes do not work together any more"
    }
  }
}
