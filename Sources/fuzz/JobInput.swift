import Foundation
import JobSpec

/// Input bytes as a job specification.
enum JobInput {
  static func run(_ input: Data) {
    guard let job = resolve(Array(input)) else { return }
    // What is written to `job.resolved.yaml` must give the same job when a run is resumed.
    let text = job.yaml()
    precondition(resolve(Array(text.utf8)) == job, "a resolved job changed when it was read again")
  }

  private static func resolve(_ bytes: [UInt8]) -> ResolvedJob? {
    try? JobSpecification.parse(bytes: bytes)
      .resolved(jobDirectory: "/jobs", workingDirectory: "/jobs", checkFiles: false)
  }
}
