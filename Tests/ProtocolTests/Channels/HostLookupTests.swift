import Dispatch
import Synchronization
import Testing
import TestSupport

@testable import Protocol

@Suite(.waiting, .timeLimit(.minutes(10))) struct HostLookupTests {
  /// What is said of an address within some seconds.
  private func problem(with endpoint: String, within seconds: Double) -> String? {
    let found = Mutex<String?>(nil)
    let told = DispatchSemaphore(value: 0)
    HostLookup.check(endpoint) { problem in
      found.withLock { $0 = problem }
      told.signal()
    }
    _ = told.wait(timeout: .now() + seconds)
    return found.withLock(\.self)
  }

  /// `.invalid` is a name that never exists (RFC 6761, section 6.4).
  @Test func aNameThatDoesNotExistIsNamed() {
    #expect(problem(with: "tcp://server.invalid:5570", within: 40)?.contains("'server.invalid' is not known") == true)
  }

  @Test(arguments: ["tcp://127.0.0.1:5570", "tcp://[::1]:5570", "tcp://localhost:5570"])
  func anAddressOfThisMachineIsNoProblem(_ endpoint: String) {
    #expect(problem(with: endpoint, within: 0.5) == nil)
  }
}
