import prove.test_outage as T, prove.town as W
T._BEFORE,T._OUTAGE,T._AFTER=10.0,20.0,10.0
import time
from prove.conftest import say, children
async def test_dbg(children, say):
    t0=time.monotonic(); marks=[]
    orig=W.assert_exactly_once
    def rep(load, held, say):
        miss=sorted(a.at-t0 for t,a in load.whole.items() if t not in held.calls)
        okay=sorted(a.at-t0 for t,a in load.whole.items() if t in held.calls)
        from collections import Counter
        say(f"missing by sec: {sorted(Counter(int(x) for x in miss).items())}")
        say(f"kept by sec: {sorted(Counter(int(x) for x in okay).items())}")
        for l in sorted(children.folder.glob("*.log")): say(f"{l.name}: {l.read_text(errors='replace')[-1500:]}")
        import shutil; shutil.rmtree('/tmp/early/data',ignore_errors=True); shutil.copytree(children.folder,'/tmp/early/data')
        orig(load,held,say)
    T.assert_exactly_once=rep
    await T.test_a_clickhouse_that_is_away_for_a_minute_is_not_noticed_by_callers(children,say)
