/// A trainer that has said where it listens.
struct RunningTrainer {
  let process: ChildProcess
  let endpoint: String
}
