"""Right programs for problems of the stdio sample, written for these tests; where several outputs are right, mostly
another one than the data set's."""

SOLUTIONS = {
    "codecontests-02": """
from collections import deque
s = input().strip()
places = {}
for i, c in enumerate(s):
    places.setdefault(c, []).append(i)
far = {0: 0}
queue = deque([0])
while queue:
    i = queue.popleft()
    for j in [i - 1, i + 1, *places.pop(s[i], [])]:
        if 0 <= j < len(s) and j not in far:
            far[j] = far[i] + 1
            queue.append(j)
print(far[len(s) - 1])
""",
    "codecontests-04": """
import sys
from math import gcd
n, *rest = map(int, sys.stdin.read().split())
pairs = list(zip(rest[::2], rest[1::2]))[:n]
common = 0
for a, b in pairs:
    common = gcd(common, a * b)
def primes(x):
    d = 2
    while d * d <= x:
        if x % d == 0:
            yield d
            while x % d == 0:
                x //= d
        d += 1
    if x > 1:
        yield x
answer = -1
for start in pairs[0]:  # the largest prime that will do
    for p in primes(start):
        if all(a % p == 0 or b % p == 0 for a, b in pairs):
            answer = max(answer, p)
print(answer)
""",
    "codecontests-10": """
n = int(input())
a = list(map(int, input().split()))
l, r, last, out = 0, n - 1, 0, []
def run(indices, last):
    count = 0
    for i in indices:
        if a[i] <= last:
            break
        last = a[i]
        count += 1
    return count
while l <= r:
    left, right = a[l] > last, a[r] > last
    if left and right and a[l] == a[r]:
        one, other = run(range(l, r + 1), last), run(range(r, l - 1, -1), last)
        out += ["R"] * other if other >= one else ["L"] * one
        break
    if left and (not right or a[l] < a[r]):
        last, l = a[l], l + 1
        out.append("L")
    elif right:
        last, r = a[r], r - 1
        out.append("R")
    else:
        break
print(len(out))
print("".join(out))
""",
    "codecontests-12": """
n, size = map(int, input().split())
a = sorted(map(int, input().split()))
counts = []
for i, x in enumerate(a):
    if i and x == a[i - 1]:
        counts[-1] += 1
    else:
        counts.append(1)
kinds = min(len(counts), 1 << min(20, 8 * size // n))
kept = best = sum(counts[:kinds])
for i in range(kinds, len(counts)):
    kept += counts[i] - counts[i - kinds]
    best = max(best, kept)
print(n - best)
""",
    "codecontests-14": """
for _ in range(int(input())):
    n, r = map(int, input().split())
    shots = 0
    for x in sorted(set(map(int, input().split())), reverse=True):
        if x - shots * r <= 0:
            break
        shots += 1
    print(shots)
""",
    "lcb-codeforces-1873_A": """
for _ in range(int(input())):
    s = input().strip()
    print("yEs" if sum(a != b for a, b in zip(s, "abc")) <= 2 else "nO")
""",
    "lcb-atcoder-abc301_a": """
n, s = int(input()), input().strip()
t = s.count("T")
print("T" if t > n - t or (2 * t == n and s[-1] == "A") else "A")
""",
}
