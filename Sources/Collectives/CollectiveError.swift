package import Failures

/// Why processes cannot work together.
package enum CollectiveError: Failure, Equatable {
  /// A rank ended or does not answer.
  case rankLost(Int)
  /// A call of the library does not return.
  case libraryHangs
  /// The library reports an error.
  case library(String)
  /// A message of this many bytes is more than one can be.
  case messageSize(Int)
  /// Several processes were started of a program that cannot work together.
  case builtWithoutMPI(Int)
  /// Several processes were started that do not know of each other.
  case notConnected(Int)
  /// What this rank sent is not what is sent between ranks of this program.
  case misunderstood(rank: Int)
  /// Something cannot be told to this rank.
  case unsendable(rank: Int)
  /// This rank runs another release than rank 0.
  case otherRelease(rank: Int, has: String, first: String)
  /// The communicator was left.
  case finished

  package var kind: FailureKind {
    switch self {
    case .rankLost, .libraryHangs, .library: .unreachable
    case .messageSize: .exhausted
    case .builtWithoutMPI, .notConnected, .misunderstood, .otherRelease: .usage
    case .unsendable, .finished: .defect
    }
  }

  package var description: String {
    switch self {
    case .rankLost(let rank):
      "rank \(rank) of this trainer is gone or does not answer; start the trainer again on the same store, and its jobs go on"
    case .libraryHangs:
      "a call of the message passing library does not return; most likely a rank died while it wrote to this one. Start the trainer again on "
        + "the same store, and its jobs go on"
    case .library(let text): "the message passing library reports: \(text)"
    case .messageSize(let bytes): "a message of \(bytes) bytes is more than the message passing library takes"
    case .builtWithoutMPI(let processes):
      "started as \(processes) processes, but this program was built without MPI, and each would serve for itself: build it with "
        + "`make mpi`, or start one process"
    case .notConnected(let processes):
      "started as \(processes) processes that MPI does not join: start them with mpirun, or srun --mpi=pmix, of the MPI that this "
        + "program was built with"
    case .misunderstood(let rank):
      "rank \(rank) sent what this rank cannot read: start all ranks from the same build of the trainer"
    case .unsendable(let rank): "what rank \(rank) is to do next cannot be told to it"
    case .otherRelease(let rank, let own, let first):
      "rank \(rank) is release \(own) of the trainer and rank 0 is \(first): start all ranks from the same build"
    case .finished: "the processes do not work together any more"
    }
  }
}
