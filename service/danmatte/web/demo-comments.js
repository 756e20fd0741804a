/** The comments on the demo page. */

export const DEMO_COMMENTS = [
  "this view though", "来了来了", "すごい！", "first!", "我们的征途是星辰大海", "go go go", "宇宙へ行ってらっしゃい", "前方高能",
  "best seat in the house", "名场面", "かっこいい", "T minus 10", "好美", "打ち上げ成功を祈る", "she knows", "哈哈哈哈哈哈", "8888888888",
  "I was there that night", "弹幕从身后飘过", "待ってました", "no spoilers please", "向宇航员致敬", "この笑顔", "lights!!", "泪目",
  "who else is awake at 4 am", "おおおおお", "打卡", "the patch on the suit!", "全体起立", "wwwwww", "launch window in ten", "下次一定去现场",
  "鳥肌立った", "look at those stars", "在座的都是时代的眼泪", "凛々しい", "brb crying", "可爱到犯规", "はじまった",
];
